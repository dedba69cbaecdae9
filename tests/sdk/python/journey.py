"""Does OpenAI's own Python SDK notice any difference? `journey.py READY_FILE`, beside a running `tollgate demo`.

One line for each thing that was checked, and at the end how many passed and failed; exits with 1 if one failed.
"""

import asyncio
import json
import sys
import traceback
import urllib.request

import openai
from pydantic import BaseModel

with open(sys.argv[1], encoding="utf-8") as file:
    READY = json.load(file)
BASE = READY["public_url"] + "/v1"
HELLO = [{"role": "user", "content": "你好，SDK"}]
CHECKS = []


def check(function):
    """Marks a function as one thing to be checked."""
    CHECKS.append(function)
    return function


class Counted:
    """Counts what an SDK really sends."""

    def __init__(self):
        self.requests = 0

    def one(self, _request):
        self.requests += 1


def client(key=READY["api_key"], counted=None, **options):
    """A client as its documentation shows it; only that no proxy of this machine stands in between."""
    hooks = {"request": [counted.one]} if counted else {}
    http = openai.DefaultHttpxClient(trust_env=False, event_hooks=hooks)
    return openai.OpenAI(base_url=BASE, api_key=key, http_client=http, **options)


def post(url, body, token=None):
    """Works a control that no SDK knows."""
    headers = {"content-type": "application/json"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)


def raised(kind, call):
    """The error of this class, and no other, that a call raises."""
    try:
        call()
    except kind as error:
        assert type(error) is kind, f"{type(error)} instead of {kind}"
        return error
    raise AssertionError(f"no {kind.__name__} was raised")


def ask(asked, model="sim-fast", **more):
    return asked.chat.completions.create(model=model, messages=HELLO, **more)


@check
def a_whole_answer():
    answer = ask(client())
    assert "你好，SDK" in answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0
    assert answer._request_id.startswith("req_")


@check
def its_headers():
    raw = client().chat.completions.with_raw_response.create(model="sim-fast", messages=HELLO)
    assert raw.request_id.startswith("req_")
    assert float(raw.headers["x-tollgate-cost-cny"]) > 0
    assert int(raw.headers["x-ratelimit-remaining-requests"]) >= 0
    assert raw.parse().model == "sim-fast"


@check
def a_stream_says_the_same():
    whole = ask(client()).choices[0].message.content
    chunks = list(ask(client(), stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.usage is None for chunk in chunks)


@check
def a_stream_with_usage():
    chunks = list(ask(client(), stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].choices == [] and chunks[-1].usage.completion_tokens > 0
    assert chunks[-1].usage.cost_currency == "CNY" and float(chunks[-1].usage.cost) > 0


@check
def the_stream_helper():
    with client().chat.completions.stream(model="sim-smart", messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()
    assert "content.delta" in kinds and final.choices[0].message.content


@check
def a_schema_becomes_an_object():
    class City(BaseModel):
        city: str
        people: int

    parsed = client().chat.completions.parse(model="sim-fast", messages=HELLO, response_format=City)
    assert isinstance(parsed.choices[0].message.parsed, City)


@check
def tools_there_and_back():
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": parameters}}]
    messages = [{"role": "user", "content": "What is the weather in Beijing?"}]
    for stream in (False, True):
        if stream:
            with client().chat.completions.stream(model="sim-smart", messages=messages, tools=tools) as events:
                for _ in events:
                    pass
                message = events.get_final_completion().choices[0].message
        else:
            made = client().chat.completions.create(model="sim-smart", messages=messages, tools=tools)
            assert made.choices[0].finish_reason == "tool_calls"
            message = made.choices[0].message
        call = message.tool_calls[0]
        assert call.function.name == "get_weather" and json.loads(call.function.arguments)["city"]
        said = {"role": "assistant", "content": None}
        said["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": "get_weather", "arguments": call.function.arguments}}
        ]
        result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
        final = client().chat.completions.create(model="sim-smart", messages=[*messages, said, result], tools=tools)
        assert final.choices[0].finish_reason == "stop"


@check
def asynchronously():
    async def several():
        http = openai.DefaultAsyncHttpxClient(trust_env=False)
        async with openai.AsyncOpenAI(base_url=BASE, api_key=READY["api_key"], http_client=http) as asked:
            answers = await asyncio.gather(*(ask(asked) for _ in range(4)))
            stream = await ask(asked, stream=True)
            text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        assert {answer.choices[0].message.content for answer in answers} == {text}

    asyncio.run(several())


@check
def fields_of_our_own_pass():
    assert ask(client(), extra_body={"x_custom": {"a": [1, None]}}, seed=7, user="someone").id


@check
def models():
    listed = {model.id for model in client().models.list()}
    assert listed == {"sim-fast", "sim-smart", "sim-slow", "sim-flaky", "sim-luxury"}, listed
    assert client().models.retrieve("sim-fast").id == "sim-fast"


@check
def a_wrong_key():
    error = raised(openai.AuthenticationError, lambda: ask(client(key="sk-tg-demo-wrong")))
    assert error.status_code == 401 and error.code == "invalid_api_key" and error.request_id.startswith("req_")


@check
def an_unknown_model():
    error = raised(openai.NotFoundError, lambda: ask(client(), model="sim-fsat"))
    assert error.code == "model_not_found" and error.param == "model" and "sim-fast" in error.message


@check
def a_bad_parameter():
    error = raised(openai.BadRequestError, lambda: ask(client(), max_tokens=0))
    assert error.type == "invalid_request_error" and error.param == "max_tokens" and error.code == "invalid_value"


@check
def out_of_money_is_asked_once():
    counted = Counted()
    for stream in (False, True):
        error = raised(
            openai.APIStatusError, lambda: ask(client(counted=counted), model="sim-luxury", stream=stream)
        )
        assert error.status_code == 402 and error.code == "insufficient_quota"
        assert error.body["topup_url"].startswith("http") and float(error.body["shortfall"]) > 0
    assert counted.requests == 2, f"{counted.requests} requests for two calls"


@check
def too_fast():
    wish = {"account": READY["account"], "name": "python", "requests_per_minute": 1}
    key = post(READY["admin_url"] + "/admin/v1/keys", wish, READY["admin_token"])["key"]
    quick = client(key=key, max_retries=0)
    ask(quick)
    error = raised(openai.RateLimitError, lambda: ask(quick))
    assert error.code == "rate_limit_exceeded" and 1 <= int(error.response.headers["retry-after"]) <= 60


@check
def a_broken_stream_is_an_error():
    fault = {"scope": "*", "model": "sim-fast", "fault": "cut_after", "chunks": 5}
    post(READY["sim_url"] + "/_sim/v1/faults", fault)
    seen = []

    def read():
        seen.extend(ask(client(), stream=True))

    error = raised(openai.APIError, read)
    assert seen and "cut short" in str(error)


@check
def a_provider_that_fails_is_not_noticed():
    fault = {"scope": "*", "model": "sim-fast", "fault": "status", "status": 500}
    post(READY["sim_url"] + "/_sim/v1/faults", fault)
    counted = Counted()
    assert ask(client(counted=counted)).choices[0].message.content
    assert counted.requests == 1, "the SDK did not have to try again"


def main():
    failed = 0
    for function in CHECKS:
        name = function.__name__.replace("_", " ")
        try:
            function()
            print(f"ok      python: {name}", flush=True)
        except Exception:
            failed += 1
            print(f"FAILED  python: {name}")
            traceback.print_exc(file=sys.stdout)
    print(f"{len(CHECKS) - failed} passed, {failed} failed (openai {openai.__version__})")
    sys.exit(1 if failed else 0)


main()
