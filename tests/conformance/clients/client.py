"""The Python SDK as a client: see gateway.test.mjs."""

import asyncio
import json
import os
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

OLDER = "2025-11-25"


async def tell(response: httpx2.Response) -> None:
    """Prints the status of a refusal, which the SDK's own error does not contain."""
    if response.is_error:
        print(response.status_code, file=sys.stderr)


async def main(url: str, revision: str, token: str) -> None:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    # The older revision begins with `initialize`. By default, the SDK first detects the server's revision.
    mode = "legacy" if revision == OLDER else "auto"
    async with (
        httpx2.AsyncClient(headers=headers, event_hooks={"response": [tell]}) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode) as client,
    ):
        tools = await client.list_tools()
        clock = await client.call_tool("clock_now", {"time_zone": "Asia/Tokyo"})
        calculator = await client.call_tool("calculator_calculate", {"expression": "0.1+0.2"})
        said = {
            "revision": client.protocol_version,
            "tools": [tool.name for tool in tools.tools],
            "clock_now": clock.structured_content,
            "calculator_calculate": calculator.structured_content,
        }
    print(json.dumps(said))


asyncio.run(main(*sys.argv[1:], os.environ["MCP_TOKEN"]))
