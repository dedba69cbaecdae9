"""Does LangChain notice any difference?"""

from importlib.metadata import version

import anthropic
import openai
from checks import BASE, KEY, READY, Sent, check, check_of_the_gateway, clear_faults, fault, raised, run
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    city: str
    people: int


@tool
def get_weather(city: str) -> str:
    """The weather in a city."""
    return f"{city}: sunny"


def http():
    return openai.DefaultHttpxClient(trust_env=False, event_hooks=Sent().hooks())


def chat(model="sim-fast", **options):
    return ChatOpenAI(model=model, base_url=BASE, api_key=KEY, http_client=http(), **options)


@check
def a_chat():
    answer = chat().invoke("你好，SDK")
    assert "你好，SDK" in answer.content
    usage = answer.usage_metadata
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] > 0


@check
def a_stream_whose_usage_is_told_once():
    whole = chat().invoke("你好，SDK")
    total = None
    for chunk in chat(stream_usage=True).stream("你好，SDK"):
        total = chunk if total is None else total + chunk
    assert total.content == whole.content
    # It sums what it is told: twice told is twice counted.
    assert total.usage_metadata["total_tokens"] == whole.usage_metadata["total_tokens"]
    assert total.response_metadata["finish_reason"] == "stop"


@check
def tools_there_and_back():
    bound = chat("sim-smart").bind_tools([get_weather])
    question = HumanMessage("What is the weather in Beijing?")
    said = bound.invoke([question])
    streamed = None
    for chunk in bound.stream([question]):
        streamed = chunk if streamed is None else streamed + chunk
    for message in (said, streamed):
        (called,) = message.tool_calls
        assert called["name"] == "get_weather" and called["args"]["city"]
    result = ToolMessage(get_weather.invoke(said.tool_calls[0]["args"]), tool_call_id=said.tool_calls[0]["id"])
    assert bound.invoke([question, said, result]).content


@check
def a_schema_becomes_an_object():
    for method in ("json_schema", "function_calling"):
        made = chat().with_structured_output(City, method=method).invoke("你好")
        assert isinstance(made, City), method


@check
def a_chat_by_responses():
    model = chat(use_responses_api=True)
    assert "你好，SDK" in str(model.invoke("你好，SDK").content)
    assert "".join(str(chunk.text) for chunk in model.stream("你好，SDK")).count("你好，SDK") == 1


@check
def vectors():
    # Without this it counts tokens with tables that it fetches from elsewhere.
    vectors = OpenAIEmbeddings(
        model="sim-embed", base_url=BASE, api_key=KEY, http_client=http(), check_embedding_ctx_length=False
    )
    one, two = vectors.embed_documents(["一", "two"])
    assert vectors.embed_query("一") == one != two


@check_of_the_gateway
def a_prompt_that_is_too_long_is_an_error_of_its_own():
    fault("sim-fast", "too_long", times=0)
    try:
        chat().invoke("你好")
    except openai.BadRequestError as error:
        assert error.code == "context_length_exceeded", error.code
        assert "ContextOverflow" in type(error).__name__, type(error)
    else:
        raise AssertionError("it was not refused")
    finally:
        clear_faults()


@check_of_the_gateway
def out_of_money_is_an_error():
    error = raised(openai.APIStatusError, lambda: chat("sim-luxury").invoke("你好"))
    assert error.status_code == 402


@check_of_the_gateway
def a_chat_with_anthropics_own():
    url = READY["public_url"]
    model = ChatAnthropic(model="sim-claude", base_url=url, api_key=KEY, max_tokens=512, max_retries=0)
    # It takes no HTTP client of ours; without one its calls would be missing from the books at the end.
    theirs = anthropic.DefaultHttpxClient(trust_env=False, event_hooks=Sent().hooks())
    vars(model)["_client"] = anthropic.Anthropic(base_url=url, api_key=KEY, http_client=theirs, max_retries=0)
    assert "你好，SDK" in model.invoke("你好，SDK").content
    bound = model.bind_tools([get_weather])
    assert bound.invoke("What is the weather in Beijing?").tool_calls[0]["args"]["city"]


versions = ", ".join(f"{name} {version(name)}" for name in ("langchain-openai", "langchain-anthropic"))
run("langchain", f"{versions}, anthropic {anthropic.__version__}")
