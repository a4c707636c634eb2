"""LiteLLM's proxy before the model whose address is the argument: one worker, no database, no log of requests."""

import json
import os
import sys
import tempfile

config = {
    "model_list": [
        {
            "model_name": "*",
            "litellm_params": {"model": "openai/*", "api_base": sys.argv[1], "api_key": "bench"},
        }
    ],
    "general_settings": {"master_key": "bench"},
    "litellm_settings": {"telemetry": False},
}
file = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False)
json.dump(config, file)  # JSON is YAML.
file.close()
os.environ["CONFIG_FILE_PATH"] = file.name
# Its list of prices comes from the package, not from the network.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOG"] = "ERROR"

from litellm.proxy.proxy_server import app  # noqa: E402
from serving import serve  # noqa: E402

serve(app)
