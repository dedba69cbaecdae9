"""Does OpenAI's own Python SDK notice any difference?"""

import asyncio
import json
import math

import openai
from checks import (
    BASE,
    GATEWAY,
    KEY,
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
    until,
)
from pydantic import BaseModel

HELLO = [{"role": "user", "content": "你好，SDK"}]
WEATHER = [{"role": "user", "content": "What is the weather in Beijing?"}]
PARAMETERS = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOLS = [{"type": "function", "function": {"name": "get_weather", "parameters": PARAMETERS}}]
FLAT_TOOLS = [{"type": "function", "name": "get_weather", "parameters": PARAMETERS, "strict": False}]
# Everything that answers chats: one for each way in which a provider may differ.
CHATTY = ["sim-fast", "sim-smart"]
if GATEWAY:
    CHATTY += ["sim-claude", "sim-gemini", "sim-azure", "sim-azure-deployment", "sim-stream-only", "sim-local"]
# Others that speak much like OpenAI, each with habits that must not be noticed.
FAMILY = []
if GATEWAY:
    names = "reason moonshot zhipu minimax doubao hunyuan siliconflow groq together fireworks xai openrouter"
    FAMILY = [f"sim-{name}" for name in names.split()]


class City(BaseModel):
    city: str
    people: int


def client(key=KEY, sent=None, **options):
    """A client as its documentation shows it; only that no proxy of this machine stands in between."""
    http = openai.DefaultHttpxClient(trust_env=False, event_hooks=(sent or Sent()).hooks())
    return openai.OpenAI(base_url=BASE, api_key=key, http_client=http, **options)


def ask(asked, model="sim-fast", **more):
    return asked.chat.completions.create(model=model, messages=HELLO, **more)


# Chat completions.


@check_each(CHATTY + FAMILY)
def a_whole_answer(model):
    answer = ask(client(), model)
    assert "你好，SDK" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0
    # The provider's own name of the model, as OpenAI says a dated one; which of ours it was stands in a header.
    assert answer.model
    assert answer._request_id.startswith("req_")


@check_of_the_gateway
def its_headers():
    raw = client().chat.completions.with_raw_response.create(model="sim-fast", messages=HELLO)
    assert raw.request_id.startswith("req_")
    assert float(raw.headers["x-tollgate-cost-cny"]) > 0
    assert int(raw.headers["x-ratelimit-remaining-requests"]) >= 0
    assert raw.headers["x-tollgate-model"] == "sim-fast"
    assert receipt(raw.request_id)["cost_cny"] == raw.headers["x-tollgate-cost-cny"]


@check_each(CHATTY + FAMILY)
def a_stream_says_the_same(model):
    whole = ask(client(), model).choices[0].message.content
    chunks = list(ask(client(), model, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == whole
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    if GATEWAY:
        assert all(chunk.choices for chunk in chunks) and all(chunk.usage is None for chunk in chunks)
        assert len({chunk.model for chunk in chunks}) == 1
        assert sum(chunk.choices[0].delta.role is not None for chunk in chunks) == 1


@check
def a_stream_with_usage():
    chunks = list(ask(client(), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert sum(chunk.usage is not None for chunk in chunks) == 1
    if GATEWAY:
        assert chunks[-1].usage.cost_currency == "CNY" and float(chunks[-1].usage.cost) > 0


@check_each(CHATTY + FAMILY)
def the_stream_helper(model):
    with client().chat.completions.stream(model=model, messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and "content.done" in kinds
    assert final.choices[0].message.content and final.choices[0].message.role == "assistant"


@check_each(CHATTY)
def a_schema_becomes_an_object(model):
    parsed = client().chat.completions.parse(model=model, messages=HELLO, response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)
    with client().chat.completions.stream(model=model, messages=HELLO, response_format=City) as stream:
        stream.until_done()
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, City)


@check_each(CHATTY + FAMILY)
def tools_there_and_back(model):
    for stream in (False, True):
        asked = client().chat.completions
        if stream:
            with asked.stream(model=model, messages=WEATHER, tools=TOOLS) as events:
                events.until_done()
                made = events.get_final_completion()
        else:
            made = asked.create(model=model, messages=WEATHER, tools=TOOLS)
        assert made.choices[0].finish_reason == "tool_calls"
        calls = made.choices[0].message.tool_calls
        assert calls[0].type == "function" and calls[0].function.name == "get_weather"
        assert json.loads(calls[0].function.arguments)["city"]
        # As an app writes history that knows nothing of extra members.
        said = {
            "role": "assistant",
            "content": made.choices[0].message.content,
            "tool_calls": [
                {
                    "id": call.id,
                    "type": "function",
                    "function": {"name": call.function.name, "arguments": call.function.arguments},
                }
                for call in calls
            ],
        }
        results = [{"role": "tool", "tool_call_id": call.id, "content": "sunny"} for call in calls]
        final = asked.create(model=model, messages=[*WEATHER, said, *results], tools=TOOLS)
        assert final.choices[0].finish_reason == "stop"


@check_each(CHATTY + FAMILY)
def two_tools_at_once(model):
    both = [{"role": "user", "content": "What is the weather in both cities?"}]
    with client().chat.completions.stream(model=model, messages=both, tools=TOOLS) as events:
        events.until_done()
        calls = events.get_final_completion().choices[0].message.tool_calls
    assert len({call.id for call in calls}) == 2
    assert all(json.loads(call.function.arguments)["city"] for call in calls)


@check_each(CHATTY)
def a_tool_can_be_forced(model):
    choices = ["required", {"type": "function", "function": {"name": "get_weather"}}]
    for choice in choices:
        made = client().chat.completions.create(model=model, messages=HELLO, tools=TOOLS, tool_choice=choice)
        assert made.choices[0].message.tool_calls[0].function.name == "get_weather"


@check
def asynchronously():
    async def several():
        http = openai.DefaultAsyncHttpxClient(trust_env=False, event_hooks=Sent().async_hooks())
        async with openai.AsyncOpenAI(base_url=BASE, api_key=KEY, http_client=http) as asked:
            answers = await asyncio.gather(*(ask(asked) for _ in range(4)))
            stream = await ask(asked, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
            async with asked.chat.completions.stream(model="sim-fast", messages=HELLO) as helper:
                final = await helper.get_final_completion()
        assert {answer.choices[0].message.content for answer in answers} == {text}
        assert final.choices[0].message.content == text

    asyncio.run(several())


@check
def thoughts_are_handed_on():
    model = "sim-smart" if GATEWAY else "sim-reason"
    answer = ask(client(), model)
    if GATEWAY:
        assert answer.choices[0].message.reasoning_content
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0


@check
def fields_of_our_own_pass():
    assert ask(client(), extra_body={"x_custom": {"a": [1, None]}}, seed=7, user="someone").id


# Responses.


@check_each(CHATTY)
def a_response(model):
    made = client().responses.create(model=model, input="你好，SDK", instructions="be kind")
    assert made.status == "completed" and "你好，SDK" in made.output_text
    assert made.usage.total_tokens == made.usage.input_tokens + made.usage.output_tokens > 0
    assert made.id.startswith("resp_")
    if GATEWAY:
        assert made.store is False


@check_each(CHATTY + FAMILY)
def a_response_as_a_stream(model):
    with client().responses.stream(model=model, input="你好，SDK") as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[0] == "response.created" and kinds[-1] == "response.completed"
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == final.output_text != ""
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert final.usage.output_tokens > 0


@check
def a_response_that_is_an_object():
    parsed = client().responses.parse(model="sim-fast", input="你好", text_format=City)
    assert isinstance(parsed.output_parsed, City)


@check_each(CHATTY)
def a_response_that_calls_tools(model):
    for stream in (False, True):
        asked = {"model": model, "input": WEATHER, "tools": FLAT_TOOLS}
        if stream:
            with client().responses.stream(**asked) as events:
                made = events.get_final_response()
        else:
            made = client().responses.create(**asked)
        calls = [item for item in made.output if item.type == "function_call"]
        assert calls and json.loads(calls[0].arguments)["city"]
        results = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"} for call in calls]
        # What was answered goes back as it came, without what the SDK has added.
        said = [item.to_dict() for item in made.output]
        for item in said:
            item.pop("parsed_arguments", None)
        turns = [*WEATHER, *said, *results]
        final = client().responses.create(model=model, input=turns, tools=FLAT_TOOLS)
        assert final.output_text


@check
def a_response_that_is_cut_by_its_limit():
    made = client().responses.create(model="sim-smart", input="你好", max_output_tokens=16)
    assert made.status == "incomplete" and made.incomplete_details.reason == "max_output_tokens"


@check
def an_earlier_response_is_not_taken_up_in_silence():
    asked = {"model": "sim-fast", "input": "on", "previous_response_id": "resp_0123456789abcdef"}
    error = raised(openai.BadRequestError, lambda: client().responses.create(**asked))
    assert error.param == "previous_response_id", error.param
    if GATEWAY:
        assert error.code == "unsupported_parameter", error.code
        error = raised(openai.NotFoundError, lambda: client().responses.retrieve("resp_1"))
        assert error.code == "response_not_stored", error.code


@check_of_the_gateway
def a_broken_response_is_an_error():
    def with_the_helper():
        with client().responses.stream(model="sim-fast", input="你好，SDK") as stream:
            yield from stream

    for read in (with_the_helper, lambda: client().responses.create(model="sim-fast", input="你好", stream=True)):
        fault("sim-fast", "cut_after", chunks=5)
        seen = []
        error = raised(openai.APIError, lambda read=read, seen=seen: seen.extend(read()))
        assert "cut short" in str(error), error
        assert seen and not any(event.type == "response.completed" for event in seen)


# The rest.


@check
def vectors():
    text = ["一", "two"]
    packed = client().embeddings.create(model="sim-embed", input=text)  # asks for base64 in silence
    plain = client().embeddings.create(model="sim-embed", input=text, encoding_format="float")
    assert [item.index for item in packed.data] == [0, 1]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert all(math.isclose(a, b, abs_tol=1e-6) for a, b in zip(one.embedding, other.embedding, strict=True))
    assert packed.usage.total_tokens == packed.usage.prompt_tokens > 0
    assert len(client().embeddings.create(model="sim-embed", input="x", dimensions=8).data[0].embedding) == 8
    tokens = client().embeddings.create(model="sim-embed", input=[[1, 2, 3], [4]])
    assert len(tokens.data) == 2


@check
def an_old_completion():
    models = ["sim-instruct", "sim-fast"] if GATEWAY else ["sim-instruct"]
    for model in models:
        whole = client().completions.create(model=model, prompt="Say 你好", max_tokens=64)
        chunks = list(client().completions.create(model=model, prompt="Say 你好", max_tokens=64, stream=True))
        text = "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)
        assert whole.object == "text_completion" and whole.choices[0].text == text != ""
        assert whole.usage.completion_tokens > 0


@check
def models():
    listed = {model.id for model in client().models.list()}
    wanted = {"sim-fast", "sim-smart", "sim-slow", "sim-flaky", "sim-luxury", "sim-embed", "sim-instruct"}
    assert listed >= wanted | set(CHATTY), listed
    assert client().models.retrieve("sim-fast").id == "sim-fast"
    error = raised(openai.NotFoundError, lambda: client().models.retrieve("vendor/no-such"))
    assert error.code == "model_not_found"


# What goes wrong.


@check
def a_wrong_key():
    error = raised(openai.AuthenticationError, lambda: ask(client(key="sk-tg-demo-wrong")))
    assert error.status_code == 401 and error.code == "invalid_api_key" and error.request_id.startswith("req_")


@check_of_the_gateway
def an_unknown_model():
    error = raised(openai.NotFoundError, lambda: ask(client(), model="sim-fsat"))
    assert error.code == "model_not_found" and error.param == "model" and "sim-fast" in error.message


@check
def the_wrong_endpoint_for_a_model():
    asked = [lambda: ask(client(), "sim-embed"), lambda: client().embeddings.create(model="sim-fast", input="x")]
    for function in asked:
        try:
            function()
        except (openai.BadRequestError, openai.NotFoundError) as error:
            assert error.param == "model", error.param
        else:
            raise AssertionError("it was not refused")


@check
def a_bad_parameter():
    error = raised(openai.BadRequestError, lambda: ask(client(), max_tokens=0))
    assert error.type == "invalid_request_error" and error.param == "max_tokens" and error.code == "invalid_value"
    error = raised(openai.BadRequestError, lambda: client().embeddings.create(model="sim-embed", input=[]))
    assert error.param == "input", error.param


@check_of_the_gateway
def out_of_money_is_asked_once():
    sent = Sent()
    for stream in (False, True):
        error = raised(openai.APIStatusError, lambda: ask(client(sent=sent), model="sim-luxury", stream=stream))
        assert error.status_code == 402 and error.code == "insufficient_quota"
        assert error.body["topup_url"].startswith("http") and float(error.body["shortfall"]) > 0
    assert sent.requests == 2, f"{sent.requests} requests for two calls"


@check_of_the_gateway
def too_fast():
    quick = client(key=new_key("python", requests_per_minute=1), max_retries=0)
    ask(quick)
    error = raised(openai.RateLimitError, lambda: ask(quick))
    assert error.code == "rate_limit_exceeded" and 1 <= int(error.response.headers["retry-after"]) <= 60


@check
def the_sdk_tries_again_when_told_to_wait():
    # At the gateway, both attempts must fail at every provider of the route for the SDK to notice at all.
    model = "sim-claude" if GATEWAY else "sim-fast"
    fault(model, "status", status=429, retry_after=0, times=1)
    sent = Sent()
    assert ask(client(sent=sent), model).choices[0].message.content
    assert sent.requests in (1, 2), sent.requests


@check_of_the_gateway
def a_provider_that_is_down_is_a_server_error_that_costs_nothing():
    fault("sim-claude", "status", status=500, times=0)
    try:
        error = raised(openai.InternalServerError, lambda: ask(client(max_retries=0), "sim-claude"))
        assert error.status_code in (502, 503) and error.code, error
        found = receipt(error.request_id)
        assert not found or float(found["cost_cny"]) == 0, found
    finally:
        clear_faults()


@check_of_the_gateway
def a_broken_stream_is_an_error():
    fault("sim-fast", "cut_after", chunks=5)
    seen = []

    def read():
        seen.extend(ask(client(), stream=True))

    error = raised(openai.APIError, read)
    assert seen and "cut short" in str(error)


@check_of_the_gateway
def a_provider_that_fails_is_not_noticed():
    fault("sim-fast", "status", status=500)
    sent = Sent()
    assert ask(client(sent=sent)).choices[0].message.content
    assert sent.requests == 1, "the SDK did not have to try again"


@check
def a_stream_that_is_left_is_charged_for_what_came():
    stream = ask(client(), "sim-slow", stream=True)
    request = stream.response.headers["x-request-id"]
    for seen, _ in enumerate(stream):
        if seen == 3:
            break
    stream.close()
    if GATEWAY:
        found = until("the call is settled", lambda: settled(request))
        whole = ask(client(), "sim-slow").usage.completion_tokens
        assert found["usage"]["completion_tokens"] <= whole, found["usage"]
        assert float(found["cost_cny"]) <= float(found["held_cny"]), found


def settled(request):
    found = receipt(request)
    return found if found and found["hold"]["state"] == "settled" else None


run("openai", f"openai {openai.__version__}")
