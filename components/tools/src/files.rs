//! The files of a conversation, for its model: the server `files`, which is part of this component (docs/adr/0061). Its tools read a stretch of a text, or look for
//! words in all of them. Must not reach a file that is not attached in the conversation, nor decide whether a call may be made.

use std::time::Duration;

use bytes::Bytes;
use domain::{FILES_SERVER, Id, file_word, shown_file_name};
use futures::{Stream, StreamExt as _};
use mcp::{Annotations, Outcome, Tool, ToolExecution, TransportError};
use passages::{Found, MAX_STRETCH_CHARS, Read, Search, Start, Stretch};
use platform::files::{self, FILES, FileUnread, Wanted};
use serde::Deserialize;
use serde_json::{
    json,
    value::{RawValue, to_raw_value},
};
use storage::{Database, StorageError, files::StoredFile};
use tool_catalogue::{Host, Server};
use toolbox::{CallFailure, Called, KnownTool, Reached};
use web::log::{Level, log};

use crate::{config::COMPONENT, state::Tools};

const READ: &str = "read_file";
const SEARCH: &str = "search_files";

/// The most files of a conversation that are reached, the newest ones: each that is searched is a request of its own.
const MAX_FILES: u32 = 50;
/// The most names that are told where one was wrong.
const MAX_NAMES: usize = 20;
/// How much text is searched in a call: some ten thick books' worth of seconds is more than an instance, which answers others at the same time, should work.
const MAX_SEARCHED_BYTES: usize = 4 * 1024 * 1024;
/// How long a document that is not read yet is waited for. The person sees the call meanwhile, and the model can call again.
const READING_LIMIT: Duration = Duration::from_secs(15);
/// The time between two looks.
const READING_PAUSE: Duration = Duration::from_millis(500);

/// The server.
pub(crate) fn server() -> Server {
    Server::built_in(FILES_SERVER, tools)
}

fn tools() -> Vec<Tool> {
    let read = json!({
        "type": "object",
        "properties": {
            "file": { "type": "string", "description": "The file's name, or the WORD of its fence." },
            "part": {
                "type": "integer",
                "description": "Begin at the page, sheet, slide, chapter or message with this number.",
            },
            "from": { "type": "integer", "description": "Begin at this character instead. An earlier answer says where it ended." },
        },
        "required": ["file"],
        "additionalProperties": false,
    });
    let search = json!({
        "type": "object",
        "properties": {
            "query": { "type": "string", "description": "The words to look for, as they may stand in the file, in its language." },
            "file": { "type": "string", "description": "Only in this file: its name, or the WORD of its fence." },
        },
        "required": ["query"],
        "additionalProperties": false,
    });
    let tool = |name: &str, title: &str, description: String, schema: &serde_json::Value| Tool {
        name: name.to_owned(),
        title: Some(title.to_owned()),
        description: Some(description),
        // There is nothing in it that JSON has no form for.
        input_schema: to_raw_value(schema).unwrap_or_else(|_| RawValue::NULL.to_owned()),
        output_schema: None,
        annotations: Annotations {
            title: None,
            read_only: Some(true),
            destructive: Some(false),
            idempotent: Some(true),
            open_world: Some(false),
        },
        execution: ToolExecution::default(),
        meta: None,
    };
    vec![
        tool(
            READ,
            "Read a file",
            format!(
                "Reads a stretch of at most {MAX_STRETCH_CHARS} characters of a file that is attached in this conversation. Messages show only the beginning of \
                 a long file, or nothing of it: call this for the rest. Not for pictures, sound or film."
            ),
            &read,
        ),
        tool(
            SEARCH,
            "Search the files",
            "Finds the passages of the files that are attached in this conversation in which words stand, the best first, each with its file, its page and its \
             characters. Call it when a question may be answered in a part of a long file that messages do not show. Say in the answer which file and page it is \
             from."
                .to_owned(),
            &search,
        ),
    ]
}

#[derive(Deserialize)]
struct Reading {
    file: String,
    part: Option<u32>,
    from: Option<u64>,
}

#[derive(Deserialize)]
struct Searching {
    query: String,
    file: Option<String>,
}

/// A call of a person in a run of theirs. The arguments fit the schema, and the call may be made.
struct Call<'a, D, H> {
    tools: &'a Tools<D, H>,
    user_id: Id,
    files: Vec<StoredFile>,
}

/// Makes a call.
pub(crate) async fn call<D: Database + 'static, H: Host>(
    tools: &Tools<D, H>,
    user_id: Id,
    run_id: Option<Id>,
    tool: &KnownTool,
    arguments: &str,
) -> Result<Reached, CallFailure> {
    let _measured = metrics::ToolCall::begin(format!("{}:{}", tool.server, tool.name));
    let files = match run_id {
        Some(run_id) => tools.store().files_of_run(user_id, run_id, MAX_FILES).await.map_err(|error| failed(&error))?,
        // A program calls: nothing is attached to what it says.
        None => Vec::new(),
    };
    let call = Call { tools, user_id, files };
    let answer = match tool.name.as_str() {
        READ => call.read(read(arguments)?).await,
        SEARCH => call.search(read(arguments)?).await,
        _ => return Err(CallFailure::Unknown),
    };
    let outcome = match answer {
        Ok(words) => Outcome::text(words),
        Err(words) => Outcome::error(words),
    };
    Ok(Called::from(outcome).into())
}

fn read<'a, T: Deserialize<'a>>(arguments: &'a str) -> Result<T, CallFailure> {
    serde_json::from_str(arguments).map_err(|error| CallFailure::InvalidArguments(error.to_string()))
}

fn failed(error: &StorageError) -> CallFailure {
    log(COMPONENT, Level::Error, "files cannot be read", json!({ "cause": error.to_string() }));
    CallFailure::Upstream("the files of this conversation cannot be read at the moment; try again later".to_owned())
}

impl<D: Database + 'static, H: Host> Call<'_, D, H> {
    /// A stretch of a file, or why there is none.
    async fn read(&self, Reading { file, part, from }: Reading) -> Result<String, String> {
        let file = self.find(&file)?;
        let start = match (from, part) {
            (Some(from), _) => Start::Character(from),
            (None, Some(part)) => Start::Part(part),
            (None, None) => Start::Character(0),
        };
        let mut text = self.text(file).await?;
        let mut stretch = Stretch::new(start);
        while let Some(piece) = text.next().await {
            if !stretch.push(&piece.map_err(|error| broken(file, &error))?) {
                break;
            }
        }
        told(file, start, stretch.end())
    }

    /// The passages in which words stand, or why there can be none.
    async fn search(&self, Searching { query, file }: Searching) -> Result<String, String> {
        let Some(mut search) = Search::new(&query) else {
            return Err("There is no word in the query. Say which words to look for.".to_owned());
        };
        let files: Vec<_> = match &file {
            Some(file) => vec![self.find(file)?],
            None => self.files.iter().collect(),
        };
        if files.is_empty() {
            return Err(self.no_such_file());
        }
        let (mut left, mut unread) = (MAX_SEARCHED_BYTES, Vec::new());
        for file in &files {
            if left == 0 {
                unread.push(format!("{} (there was too much text before it)", name(file)));
            } else {
                match self.text(file).await {
                    Ok(mut text) => loop {
                        match text.next().await {
                            Some(Ok(piece)) => {
                                let taken = piece.get(..left).unwrap_or(&piece);
                                search.push(taken);
                                left = left.saturating_sub(taken.len());
                                if taken.len() < piece.len() {
                                    unread.push(format!("the end of {} (it is too long)", name(file)));
                                    break;
                                }
                            }
                            Some(Err(error)) => {
                                unread.push(broken(file, &error));
                                break;
                            }
                            None => break,
                        }
                    },
                    Err(why) => unread.push(why),
                }
            }
            search.end_text();
        }
        let mut told = passages(&files, &search.end());
        if !unread.is_empty() {
            told.push_str(&format!("\n\n(Not searched: {})", unread.join("; ")));
        }
        Ok(told)
    }

    /// The file that a model names.
    fn find(&self, named: &str) -> Result<&StoredFile, String> {
        let named = named.trim();
        let word = named.strip_prefix("file_").unwrap_or(named);
        let by_word = self.files.iter().find(|file| file_word(file.id) == word);
        let by_name = || self.files.iter().find(|file| file.name == named || shown_file_name(&file.name) == named);
        by_word.or_else(by_name).ok_or_else(|| self.no_such_file())
    }

    fn no_such_file(&self) -> String {
        if self.files.is_empty() {
            return "No file is attached in this conversation.".to_owned();
        }
        let names: Vec<_> = self.files.iter().take(MAX_NAMES).map(name).collect();
        format!("There is no such file here. These are attached in this conversation: {}.", names.join(", "))
    }

    /// The text of a file, piece by piece, or why there is none.
    async fn text(
        &self,
        file: &StoredFile,
    ) -> Result<impl Stream<Item = Result<Bytes, TransportError>> + Unpin + use<D, H>, String> {
        let wanted = match &file.reading {
            Some(_) => Wanted::Text,
            None if file.media_type.starts_with("text/") => Wanted::Bytes,
            None => return Err(format!("{} has no text: it is {}.", name(file), file.media_type)),
        };
        let mut waited = Duration::ZERO;
        loop {
            match self.ask(file, wanted).await {
                Ok(body) => return Ok(body),
                Err(FileUnread::Reading) if waited < READING_LIMIT => {
                    cache::Clock::sleep(self.tools.host(), READING_PAUSE).await;
                    waited = waited.saturating_add(READING_PAUSE);
                }
                Err(unread) => return Err(self.why(file, unread)),
            }
        }
    }

    async fn ask(
        &self,
        file: &StoredFile,
        wanted: Wanted,
    ) -> Result<impl Stream<Item = Result<Bytes, TransportError>> + Unpin + use<D, H>, FileUnread> {
        let host = self.tools.host();
        let unsigned = || FileUnread::Failed("the request cannot be signed".to_owned());
        let proof = host.prove(FILES, Some(self.user_id), "").await.ok_or_else(unsigned)?;
        let request = files::request(file.id, wanted, proof).map_err(|error| FileUnread::Failed(error.to_string()))?;
        let answer = host.send(request).await.map_err(|error| FileUnread::Failed(error.to_string()))?;
        let (head, body) = answer.into_parts();
        Ok(files::answered(head.status, &head.headers, body).await?.1)
    }

    fn why(&self, file: &StoredFile, unread: FileUnread) -> String {
        let name = name(file);
        match unread {
            FileUnread::Reading => format!("{name} is still being read. Call again in a moment, or tell the person."),
            FileUnread::Unreadable(why) => format!("{name} cannot be read. {why}"),
            FileUnread::Gone => format!("{name} is gone, or damaged."),
            FileUnread::Failed(cause) => {
                self.tools
                    .host()
                    .log("a file cannot be read for a model", json!({ "file_id": file.id, "cause": cause }));
                format!("{name} cannot be read at the moment. Call again later, or tell the person.")
            }
        }
    }
}

/// A file's name in an answer.
fn name(file: &StoredFile) -> String {
    format!("\"{}\"", shown_file_name(&file.name))
}

fn broken(file: &StoredFile, error: &TransportError) -> String {
    log(COMPONENT, Level::Warn, "a file broke off", json!({ "file_id": file.id, "cause": error.to_string() }));
    format!("{} broke off while it was read. Call again in a moment.", name(file))
}

/// A stretch, with where it is.
fn told(file: &StoredFile, start: Start, read: Read) -> Result<String, String> {
    let name = name(file);
    if read.text.is_empty() {
        return Err(match (start, read.last_part) {
            (Start::Part(part), Some(last)) => format!("{name} has no part {part}: the last one is {last}."),
            (Start::Part(_), None) => format!("{name} has no pages or other parts. Say `from` instead of `part`."),
            (Start::Character(0), _) => format!("There is no text in {name}."),
            (Start::Character(from), _) => format!("{name} ends before character {from}."),
        });
    }
    let Read { text, from, to, part, has_more, .. } = read;
    let place = part.map(|part| format!(", {part}")).unwrap_or_default();
    let more =
        if has_more { format!("\n\n(There is more: call it again with \"from\": {to}.)") } else { String::new() };
    Ok(format!("{name}{place}, characters {from} to {to}:\n\n{text}{more}"))
}

/// Passages, each with where it is.
fn passages(files: &[&StoredFile], found: &[Found]) -> String {
    if found.is_empty() {
        return "None of these words is in the files. Words are found whatever their ending, but not their synonyms: try other words, or the file's language."
            .to_owned();
    }
    let passage = |(number, found): (usize, &Found)| {
        let Found { text_number, from, to, part, heading, text } = found;
        let file = files.get(*text_number).map(|file| name(file)).unwrap_or_default();
        let part = part.as_ref().map(|part| format!(", {part}")).unwrap_or_default();
        let heading = heading.as_ref().map(|heading| format!(", under \"{heading}\"")).unwrap_or_default();
        format!("{number}. {file}{part}{heading}, characters {from} to {to}:\n{text}")
    };
    (1..).zip(found).map(passage).collect::<Vec<_>>().join("\n\n")
}
