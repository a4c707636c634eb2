"""OpenAI's SDK for Python and LiteLLM's client against `/v1`: see models.test.mjs. Prints as JSON what they received."""

import asyncio
import json
import os
import sys

# Its list of prices comes from the package, not from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm
import openai
from openai import AsyncOpenAI, OpenAI

base_url, key = sys.argv[1], os.environ["MODELS_KEY"]
client = OpenAI(base_url=base_url, api_key=key, max_retries=0)
hello = [{"role": "user", "content": "hello"}]
tool = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
said = {}

answer = client.chat.completions.create(model="gpt-test", messages=hello)
said["answer"], said["usage"] = answer.choices[0].message.content, answer.usage.total_tokens > 0
chunks = list(client.chat.completions.create(model="gpt-test", messages=hello, stream=True))
said["stream"] = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
asked = {"include_usage": True}
last = list(client.chat.completions.create(model="gpt-test", messages=hello, stream=True, stream_options=asked))[-1]
said["reported"] = last.choices == [] and last.usage.total_tokens > 0
called = client.chat.completions.create(
    model="gpt-test", messages=[{"role": "user", "content": "use a tool"}], tools=[tool]
)
said["call"] = called.choices[0].message.tool_calls[0].function.name
structured = client.chat.completions.create(
    model="gpt-test",
    messages=[{"role": "user", "content": "as JSON"}],
    response_format={"type": "json_object"},
)
said["structured"] = json.loads(structured.choices[0].message.content)
said["response"] = client.responses.create(model="gpt-test", input="hello").output_text
said["embedding"] = len(client.embeddings.create(model="text-embedding-test", input=["a", "b"]).data)
said["models"] = [model.id for model in client.models.list()]
said["owner"] = client.models.retrieve("gpt-test").owned_by


def error(call):
    try:
        call()
    except openai.APIStatusError as error:
        return [type(error).__name__, error.code]


said["unknown"] = error(lambda: client.chat.completions.create(model="nobody-has", messages=hello))
said["wrong_key"] = error(lambda: OpenAI(base_url=base_url, api_key="ea_" + "0" * 64).models.list())
said["kept"] = error(lambda: client.responses.create(model="gpt-test", input="x", previous_response_id="resp_1"))


async def cancelled():
    async with AsyncOpenAI(base_url=base_url, api_key=key) as client:
        async with await client.chat.completions.create(
            model="gpt-test", messages=[{"role": "user", "content": "at length"}], stream=True
        ) as stream:
            async for chunk in stream:
                if chunk.choices[0].delta.content:
                    return True


said["cancelled"] = asyncio.run(cancelled())

through = {"model": "openai/gpt-test", "api_base": base_url, "api_key": key, "messages": hello}
said["litellm"] = litellm.completion(**through).choices[0].message.content
pieces = litellm.completion(**through, stream=True)
said["litellm_stream"] = "".join(piece.choices[0].delta.content or "" for piece in pieces)

# An assistant of the installation, which calls the installation's tools by itself.
asking = OpenAI(base_url=base_url, api_key=os.environ["ASSISTANTS_KEY"], max_retries=0)
said["assistants"] = [model.id for model in asking.models.list() if model.owned_by == "assistants"]
clock = [{"role": "system", "content": "Be exact."}, {"role": "user", "content": "what time is it"}]
answer = asking.chat.completions.create(model="assistant:timekeeper", messages=clock)
said["assistant"] = [answer.choices[0].message.content, answer.choices[0].finish_reason, answer.usage.total_tokens > 0]
streamed = asking.chat.completions.create(model="assistant:Timekeeper", messages=clock, stream=True, stream_options=asked)
*chunks, report = streamed
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
said["assistant_stream"] = [text, chunks[-1].choices[0].finish_reason, report.usage.total_tokens > 0]
sums = {"model": "assistant:Timekeeper", "messages": [{"role": "user", "content": "work it out"}]}
said["unapproved"] = asking.chat.completions.create(**sums).choices[0].message.content
said["own_tools"] = error(lambda: asking.chat.completions.create(**sums, tools=[tool]))
said["without_scope"] = error(lambda: client.chat.completions.create(**sums))
said["nothing_there"] = error(lambda: client.files.list())
print(json.dumps(said))
