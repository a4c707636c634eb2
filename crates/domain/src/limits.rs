//! How long things may be that several components take from outside: chats, and programs at `/v1`. What only one takes has its limit there.

/// The longest message: a book chapter, or a log file.
pub const MAX_MESSAGE_BYTES: usize = 1024 * 1024;
/// The longest instructions of a conversation or an assistant: some four thousand tokens, which every request to its model carries.
pub const MAX_INSTRUCTIONS_BYTES: usize = 16 * 1024;
/// The longest instructions of a program, which come behind those of its assistant, for one turn: programs write all they know into them.
pub const MAX_PROGRAM_INSTRUCTIONS_BYTES: usize = 64 * 1024;
/// OpenAI's Responses take no smaller number. A model that reasons needs more before it says anything.
pub const MIN_OUTPUT_TOKENS: u64 = 16;
/// More than any model writes.
pub const MAX_OUTPUT_TOKENS: u64 = 1_000_000;
/// Longer than any model's name.
pub const MAX_MODEL_BYTES: usize = 200;
/// The name of an assistant is a word or a few.
pub const MAX_ASSISTANT_NAME_CHARS: usize = 60;
