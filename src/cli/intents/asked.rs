//! What an intent waits for from a person, and the commands that give it.

use serde_json::Value;

use crate::cli::client::text;
use crate::cli::output;

/// Prints what a person is asked about `intent`; nothing if nothing is.
pub fn show(intent: &Value) {
    let id = text(&intent["id"]);
    if intent["status"] == "awaiting_approval" {
        let until = text(&intent["not_before"]);
        output::line(output::warn(format!("  waits for approval until {until}, which would be no:")));
        output::line(format!("    paramedic intents approve {id}\n    paramedic intents deny {id}"));
    }
    let asked = &intent["question"];
    let (Some(question), Some(name)) = (asked["question"].as_str(), asked["name"].as_str()) else { return };
    output::line(output::warn(format!("  asks until {}: {question}", text(&asked["until"]))));
    let choices = asked["choices"].as_array().map_or(&[][..], Vec::as_slice);
    let answers: Vec<String> = match choices {
        [] => vec!["TEXT".into()],
        choices => choices.iter().map(|it| word(&text(it))).collect(),
    };
    for answer in answers {
        output::line(format!("    paramedic intents answer {id} {answer} --question {name}"));
    }
}

/// `text` as one word of a shell.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "_./:%+-".contains(c);
    match !text.is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::word;

    #[test]
    fn an_answer_is_one_word_of_a_shell_whatever_stands_in_it() {
        for (text, expected) in [
            ("yes", "yes"),
            ("über-5%", "über-5%"),
            ("not now", "'not now'"),
            ("don't", r"'don'\''t'"),
            ("", "''"),
        ] {
            assert_eq!(word(text), expected);
        }
    }
}
