"""Does LlamaIndex notice any difference?"""

from importlib.metadata import version

import openai
from checks import BASE, KEY, Sent, check, check_of_the_gateway, raised, run
from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel


class City(BaseModel):
    """A city."""

    city: str
    people: int


def http():
    return openai.DefaultHttpxClient(trust_env=False, event_hooks=Sent().hooks())


def model(name="sim-fast", **options):
    usual = {"is_chat_model": True, "is_function_calling_model": True, "context_window": 32000, "max_retries": 0}
    return OpenAILike(model=name, api_base=BASE, api_key=KEY, http_client=http(), **{**usual, **options})


@check
def a_chat_and_its_stream():
    messages = [ChatMessage(role="system", content="be kind"), ChatMessage(role="user", content="你好，SDK")]
    whole = model().chat(messages).message.content
    assert "你好，SDK" in whole
    assert [part.message.content for part in model().stream_chat(messages)][-1] == whole


@check
def a_completion_and_its_stream():
    whole = model().complete("你好，SDK").text
    assert "你好，SDK" in whole
    assert "".join(part.delta or "" for part in model().stream_complete("你好，SDK")) == whole


@check
def an_old_completion():
    made = model("sim-instruct", is_chat_model=False, is_function_calling_model=False, max_tokens=64)
    assert made.complete("Say 你好").text


@check
def tools_there_and_back():
    def get_weather(city: str) -> str:
        """The weather in a city."""
        return f"{city}: sunny"

    tool = FunctionTool.from_defaults(get_weather)
    question = "What is the weather in Beijing?"
    made = model().chat_with_tools([tool], user_msg=question)
    (called,) = model().get_tool_calls_from_response(made)
    assert called.tool_name == "get_weather" and called.tool_kwargs["city"]
    turns = [
        ChatMessage(role="user", content=question),
        made.message,
        ChatMessage(
            role="tool",
            content=str(tool.call(**called.tool_kwargs)),
            additional_kwargs={"tool_call_id": called.tool_id},
        ),
    ]
    assert model().chat_with_tools([tool], chat_history=turns).message.content


@check
def a_schema_becomes_an_object():
    assert isinstance(model().structured_predict(City, _prompt("Tell me of a city")), City)


def _prompt(text):
    from llama_index.core import PromptTemplate

    return PromptTemplate(text)


@check
def vectors():
    vectors = OpenAILikeEmbedding(model_name="sim-embed", api_base=BASE, api_key=KEY, http_client=http())
    one, two = vectors.get_text_embedding_batch(["一", "two"])
    assert vectors.get_query_embedding("一") == one != two and len(one) == 1536


@check_of_the_gateway
def out_of_money_is_an_error():
    error = raised(openai.APIStatusError, lambda: model("sim-luxury").complete("你好"))
    assert error.status_code == 402


run("llamaindex", f"llama-index-core {version('llama-index-core')}, openai {openai.__version__}")
