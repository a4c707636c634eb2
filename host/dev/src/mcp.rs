//! A client for a tool server that this program has started: MCP in the revision 2025-11-25, without `initialize`, which the adapter does not need.
//! It does not know how the server was started. It supports only servers on this machine: no TLS and no authorization.

use std::io::{BufRead as _, BufReader, Read};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use serde_json::Value;

const REVISION: &str = "2025-11-25";
/// A tool's time limit and a little more, in which the adapter can report that it was exceeded.
const PATIENCE: Duration = Duration::from_secs(60);
/// Twice the adapter's largest message.
const ANSWER_MAX_BYTES: u64 = 8 * 1024 * 1024;

/// A running tool server.
pub(crate) struct Server {
    agent: ureq::Agent,
    url: String,
    patience: Duration,
}

impl Server {
    pub(crate) fn at(url: String) -> Self {
        Self::with_patience(url, PATIENCE)
    }

    fn with_patience(url: String, patience: Duration) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(patience))
            // The server is on this machine. The environment's proxy is for other addresses.
            .proxy(None)
            .build();
        Self { agent: config.into(), url, patience }
    }

    /// The tools that the server lists.
    pub(crate) fn tools(&self) -> anyhow::Result<Vec<Value>> {
        let mut result = self.ask("tools/list", "{}", &mut |_, _| {})?;
        match result.get_mut("tools").map(Value::take) {
            Some(Value::Array(tools)) => Ok(tools),
            _ => bail!("its list has no tools: {result}"),
        }
    }

    /// The result of a method. `params` is JSON and is sent as written. `notice` receives the method and the params of each notification.
    pub(crate) fn ask(
        &self,
        method: &str,
        params: &str,
        notice: &mut dyn FnMut(&str, &Value),
    ) -> anyhow::Result<Value> {
        let request = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
        let response = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", REVISION)
            .send(request)
            .map_err(|error| match error {
                ureq::Error::Timeout(_) => anyhow!(
                    "it did not answer within {} s, and the app waits for a shorter time: do less in one call, and set a time limit for each wait",
                    self.patience.as_secs()
                ),
                error => anyhow::Error::new(error).context("it did not answer"),
            })?;
        let status = response.status();
        let is_stream = response.headers().get("content-type").is_some_and(|kind| kind == "text/event-stream");
        let mut body = response.into_body().into_reader().take(ANSWER_MAX_BYTES);
        if !is_stream {
            let mut text = Vec::new();
            body.read_to_end(&mut text).context("its answer broke off")?;
            // Errors of the protocol have a message, whatever their status. A component that ended has none.
            let Ok(answer) = serde_json::from_slice(&text) else {
                bail!(
                    "it broke off the call ({status}): it panicked, or it computed for too long without waiting for anything. What it \
                     printed is above"
                );
            };
            return result(answer);
        }
        for line in BufReader::new(body).lines() {
            let line = line.context("its answer broke off: it panicked, or took too long. What it printed is above")?;
            // The adapter writes each message on one line.
            let Some(message) = line.strip_prefix("data:") else { continue };
            let message: Value = serde_json::from_str(message).context("its answer is not valid JSON")?;
            match message.get("method").and_then(Value::as_str) {
                Some(method) => notice(method, message.get("params").unwrap_or(&Value::Null)),
                None => return result(message),
            }
        }
        bail!("its answer ended before the result. What it printed is above")
    }
}

fn result(mut answer: Value) -> anyhow::Result<Value> {
    if let Some(error) = answer.get("error") {
        let words = error.get("message").and_then(Value::as_str).unwrap_or("an error without words");
        bail!("{words}");
    }
    answer.get_mut("result").map(Value::take).context("its answer has no result")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::net::TcpListener;

    use super::*;

    /// A server that gives the same response to every request.
    fn answering(head: &str, body: &str) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let answer = format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while request.read_line(&mut line).unwrap() > 2 {
                length = line.strip_prefix("content-length: ").map_or(length, |said| said.trim().parse().unwrap());
                line.clear();
            }
            request.read_exact(&mut vec![0; length]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        Server::at(format!("http://{address}/"))
    }

    fn asked(head: &str, body: &str) -> (anyhow::Result<Value>, Vec<String>) {
        let mut notices = Vec::new();
        let result = answering(head, body).ask("tools/call", "{}", &mut |method, params| {
            notices.push(format!("{method} {params}"));
        });
        (result, notices)
    }

    #[test]
    fn what_is_said_during_a_call_is_heard_before_its_result() {
        let events = "data: {\"method\":\"notifications/progress\",\"params\":{\"progress\":1}}\n\n\
                      data: {\"id\":1,\"result\":{\"isError\":false}}\n\n";
        let (result, notices) = asked("200 OK\r\ncontent-type: text/event-stream", events);
        assert_eq!(result.unwrap()["isError"], false);
        assert_eq!(notices, ["notifications/progress {\"progress\":1}"]);
        let (result, _) = asked("200 OK\r\ncontent-type: application/json", r#"{"id":1,"result":{"tools":[]}}"#);
        assert_eq!(result.unwrap()["tools"], serde_json::json!([]));
    }

    #[test]
    fn a_missing_answer_is_an_error_that_says_what_to_do() {
        // The operating system accepts the connection, but nothing reads from it.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", silent.local_addr().unwrap());
        let server = Server::with_patience(url, Duration::from_millis(20));
        let error = format!("{:#}", server.tools().unwrap_err());
        assert!(error.contains("set a time limit for each wait"), "{error}");
    }

    #[test]
    fn what_is_no_result_is_an_error_in_words() {
        for (head, body, expected) in [
            ("400 Bad Request", r#"{"error":{"code":-32602,"message":"Unknown tool: x"}}"#, "Unknown tool: x"),
            ("500 Internal Server Error", "", "it panicked"),
            ("200 OK\r\ncontent-type: text/event-stream", "data: {\"method\":\"m\"}\n\n", "ended before the result"),
        ] {
            let error = format!("{:#}", asked(head, body).0.unwrap_err());
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
