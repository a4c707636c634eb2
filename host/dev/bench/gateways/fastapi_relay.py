"""The least that somebody writes who needs a gateway: FastAPI, and OpenAI's SDK for the model whose address is the argument. It counts nothing."""

import sys

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, StreamingResponse
from openai import AsyncOpenAI
from serving import serve

app = FastAPI()
model = AsyncOpenAI(base_url=sys.argv[1], api_key="bench", max_retries=0)


@app.post("/v1/chat/completions")
async def completions(request: Request):
    body = await request.json()
    answer = await model.chat.completions.create(**body)
    if not body.get("stream"):
        return JSONResponse(answer.model_dump())

    async def events():
        async for chunk in answer:
            yield f"data: {chunk.model_dump_json()}\n\n"
        yield "data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


serve(app)
