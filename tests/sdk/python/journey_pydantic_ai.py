"""Does the strictest reader find every member that should be there?"""

from importlib.metadata import version

import openai
from checks import BASE, GATEWAY, KEY, Sent, check, check_each, run
from pydantic import BaseModel
from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider

CHATTY = ["sim-fast", "sim-smart"]
if GATEWAY:
    CHATTY += ["sim-claude", "sim-gemini", "sim-azure", "sim-azure-deployment", "sim-stream-only", "sim-local"]


class City(BaseModel):
    city: str
    people: int


def model(name, kind=OpenAIChatModel):
    http = openai.DefaultAsyncHttpxClient(trust_env=False, event_hooks=Sent().async_hooks())
    client = openai.AsyncOpenAI(base_url=BASE, api_key=KEY, http_client=http)
    return kind(name, provider=OpenAIProvider(openai_client=client))


@check_each(CHATTY)
def an_answer_is_valid(name):
    made = Agent(model(name)).run_sync("你好，SDK")
    assert "你好，SDK" in made.output and made.usage.output_tokens > 0, name


@check_each(CHATTY)
def a_stream_is_valid(name):
    async def read(name):
        async with Agent(model(name)).run_stream("你好，SDK") as stream:
            return [text async for text in stream.stream_text()][-1], stream.usage

    import asyncio

    text, usage = asyncio.run(read(name))
    assert "你好，SDK" in text, name
    assert (usage() if callable(usage) else usage).output_tokens > 0, name


@check_each(CHATTY)
def a_tool_is_called_and_its_result_understood(name):
    agent = Agent(model(name))
    cities = []

    @agent.tool_plain
    def get_weather(city: str) -> str:
        """The weather in a city."""
        cities.append(city)  # noqa: B023 - called before the next round
        return "sunny"

    assert agent.run_sync("What is the weather in Beijing?").output, name
    assert len(cities) == 1, name


@check_each(CHATTY)
def an_object_is_made_by_a_forced_tool(name):
    assert isinstance(Agent(model(name), output_type=City).run_sync("你好").output, City), name


@check
def a_response_is_valid():
    made = Agent(model("sim-fast", OpenAIResponsesModel)).run_sync("你好，SDK")
    assert "你好，SDK" in made.output


run("pydantic-ai", f"pydantic-ai {version('pydantic-ai-slim')}")
