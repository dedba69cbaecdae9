"""Does Anthropic's own Python SDK notice any difference, whoever answers?"""

import asyncio
import json

import anthropic
from checks import (
    GATEWAY,
    KEY,
    READY,
    Sent,
    check,
    check_each,
    check_of_the_gateway,
    clear_faults,
    fault,
    new_key,
    raised,
    receipt,
    run,
)

HELLO = [{"role": "user", "content": "你好，SDK"}]
WEATHER = [{"role": "user", "content": "What is the weather in both cities?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"name": "get_weather", "description": "the weather", "input_schema": SCHEMA}]
# One that speaks Anthropic's language, and others that do not.
MODELS = ["sim-claude", "sim-fast", "sim-smart", "sim-gemini"] if GATEWAY else ["sim-claude"]


def client(key=KEY, sent=None, **options):
    http = anthropic.DefaultHttpxClient(trust_env=False, event_hooks=(sent or Sent()).hooks())
    return anthropic.Anthropic(base_url=READY["public_url"], api_key=key, http_client=http, **options)


def ask(asked, model="sim-claude", **more):
    return asked.messages.create(**{"model": model, "max_tokens": 512, "messages": HELLO, **more})


def text(message):
    return "".join(block.text for block in message.content if block.type == "text")


@check_each(MODELS)
def a_message(model):
    message = ask(client(), model, system="be kind")
    assert message.type == "message" and message.role == "assistant" and message.model == model, message
    assert "你好，SDK" in text(message) and message.stop_reason == "end_turn"
    assert message.usage.input_tokens > 0 and message.usage.output_tokens > 0
    if GATEWAY:
        assert message._request_id.startswith("req_")


@check_each(MODELS)
def the_stream_helper_says_the_same(model):
    whole = ask(client(), model)
    with client().messages.stream(model=model, max_tokens=512, messages=HELLO) as stream:
        streamed = "".join(stream.text_stream)
        final = stream.get_final_message()
    assert streamed == text(final) == text(whole)
    assert final.stop_reason == "end_turn" and final.usage.output_tokens == whole.usage.output_tokens
    assert final.usage.input_tokens == whole.usage.input_tokens


@check_each(MODELS)
def the_events_come_in_order(model):
    kinds = [event.type for event in ask(client(), model, stream=True)]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"], kinds
    assert kinds.count("content_block_start") == kinds.count("content_block_stop") >= 1


@check_each(MODELS)
def tools_there_and_back(model):
    for stream in (False, True):
        if stream:
            with client().messages.stream(model=model, max_tokens=512, messages=WEATHER, tools=TOOLS) as events:
                made = events.get_final_message()
        else:
            made = ask(client(), model, messages=WEATHER, tools=TOOLS)
        assert made.stop_reason == "tool_use"
        calls = [block for block in made.content if block.type == "tool_use"]
        assert len({call.id for call in calls}) == 2 and all(call.input["city"] for call in calls)
        results = [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls]
        said = [block.model_dump(exclude_none=True) for block in made.content]
        turns = [*WEATHER, {"role": "assistant", "content": said}, {"role": "user", "content": results}]
        final = ask(client(), model, messages=turns, tools=TOOLS)
        assert final.stop_reason == "end_turn" and text(final)


@check_each(MODELS)
def a_tool_can_be_forced_or_forbidden(model):
    for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
        assert ask(client(), model, tools=TOOLS, tool_choice=choice).stop_reason == "tool_use"
    none = ask(client(), model, messages=WEATHER, tools=TOOLS, tool_choice={"type": "none"})
    assert none.stop_reason == "end_turn"


@check_each(MODELS)
def a_limit_ends_it(model):
    assert ask(client(), model, max_tokens=2).stop_reason == "max_tokens"


@check
def a_stop_ends_it_and_is_named():
    stopped = ask(client(), stop_sequences=["模拟"])
    assert stopped.stop_reason == "stop_sequence" and stopped.stop_sequence == "模拟"


@check
def thoughts_are_blocks():
    made = ask(client(), max_tokens=2048, thinking={"type": "adaptive"})
    assert made.content[0].type == "thinking" and made.content[0].thinking and made.content[0].signature
    turns = [*HELLO, {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in made.content]}]
    turns.append({"role": "user", "content": "on"})
    assert text(ask(client(), max_tokens=2048, thinking={"type": "adaptive"}, messages=turns))


@check
def what_is_remembered_is_counted_apart():
    system = [{"type": "text", "text": "remember " * 1000, "cache_control": {"type": "ephemeral"}}]
    first, second = ask(client(), system=system).usage, ask(client(), system=system).usage
    assert first.cache_creation_input_tokens + first.cache_read_input_tokens > 1024
    assert second.cache_read_input_tokens > 1024 and second.input_tokens == first.input_tokens < 100


@check_each(MODELS)
def tokens_are_counted(model):
    counted = client().messages.count_tokens(model=model, messages=HELLO, tools=TOOLS, system="be kind")
    assert counted.input_tokens > 0


@check
def asynchronously():
    async def several():
        http = anthropic.DefaultAsyncHttpxClient(trust_env=False, event_hooks=Sent().async_hooks())
        url = READY["public_url"]
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, http_client=http) as asked:
            answers = await asyncio.gather(*(ask(asked) for _ in range(3)))
            async with asked.messages.stream(model="sim-claude", max_tokens=512, messages=HELLO) as stream:
                streamed = await stream.get_final_text()
        assert {text(answer) for answer in answers} == {streamed}

    asyncio.run(several())


@check
def a_wrong_key_is_refused_in_their_shape():
    error = raised(anthropic.AuthenticationError, lambda: ask(client(key="sk-ant-wrong")))
    assert error.body["type"] == "error" and error.body["error"]["type"] == "authentication_error", error.body


@check
def a_bad_request_is_refused_in_their_shape():
    for more in ({"max_tokens": 0}, {"messages": []}):
        error = raised(anthropic.BadRequestError, lambda more=more: ask(client(), **more))
        assert error.body["error"]["type"] == "invalid_request_error", error.body
        assert json.dumps(error.body).count(next(iter(more))), error.body


@check_of_the_gateway
def an_unknown_model_is_not_found():
    error = raised(anthropic.NotFoundError, lambda: ask(client(), "sim-cluade"))
    assert error.body["error"]["type"] == "not_found_error", error.body


@check_of_the_gateway
def out_of_money_is_asked_once():
    sent = Sent()
    error = raised(anthropic.PaymentRequiredError, lambda: ask(client(sent=sent), "sim-luxury", max_tokens=16000))
    assert error.body["error"]["type"] == "billing_error", error.body
    assert sent.requests == 1, sent.requests


@check_of_the_gateway
def too_fast():
    quick = client(key=new_key("anthropic", requests_per_minute=1), max_retries=0)
    ask(quick)
    error = raised(anthropic.RateLimitError, lambda: ask(quick))
    assert error.body["error"]["type"] == "rate_limit_error", error.body
    assert 1 <= int(error.response.headers["retry-after"]) <= 60


@check_of_the_gateway
def an_overload_is_a_server_error_that_costs_nothing():
    fault("sim-claude", "status", status=529, times=0)
    try:
        error = raised(anthropic.InternalServerError, lambda: ask(client(max_retries=0)))
        assert error.body["type"] == "error" and error.body["error"]["type"], error.body
        found = receipt(error.response.headers["x-request-id"])
        assert not found or float(found["cost_cny"]) == 0, found
    finally:
        clear_faults()


@check_each(MODELS)
def an_error_in_mid_stream_is_raised(model):
    fault(model, "error_in_200", after=6)
    seen = []
    try:
        seen.extend(event.type for event in ask(client(max_retries=0), model, stream=True))
    except anthropic.APIError as error:
        assert isinstance(error.body, dict) and error.body["error"]["type"], error.body
    else:
        raise AssertionError(f"it looked like a success: {seen}")


run("anthropic", f"anthropic {anthropic.__version__}")
