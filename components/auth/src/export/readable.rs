//! Conversations as Markdown, for people. What somebody or a model wrote is Markdown already and stays as it is; what tools said is fenced.

use domain::{Conversation, Message, MessageRole};

pub(super) fn heading(conversation: &Conversation) -> String {
    let title = if conversation.title.is_empty() { "Untitled" } else { &conversation.title };
    format!("# {}\n\nBegun {}\n\n", title.replace('\n', " "), conversation.created_at)
}

pub(super) fn message(message: &Message) -> String {
    let mut text = match message.role {
        MessageRole::User => format!("**You**, {}\n\n", message.created_at),
        MessageRole::Assistant => format!("**Assistant**, {}\n\n", message.created_at),
        MessageRole::Tool => {
            let title = message.tool_result.as_ref().and_then(|result| result.title.as_deref()).unwrap_or("Tool");
            format!("**{title}**, {}\n\n", message.created_at)
        }
    };
    match message.role {
        MessageRole::Tool => text.push_str(&fenced(&message.content)),
        MessageRole::User | MessageRole::Assistant => text.push_str(&message.content),
    }
    for call in &message.tool_calls {
        text.push_str(&format!("\n\nCalls `{}`:\n\n{}", call.name, fenced(&call.arguments)));
    }
    text.push_str("\n\n");
    text
}

/// A fence longer than any in the text (CommonMark, section 4.5).
fn fenced(text: &str) -> String {
    let longest = text.split(|letter| letter != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.saturating_add(1).max(3));
    format!("{fence}\n{text}\n{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_tool_says_cannot_end_its_fence() {
        assert_eq!(fenced("a"), "```\na\n```");
        assert_eq!(fenced("a\n````\n# Forged"), "`````\na\n````\n# Forged\n`````");
    }
}
