//! Slack's incoming webhooks, and what understands the same: a text, and an attachment with the details.
//!
//! What an event brought along is escaped, so that it cannot call a whole channel (`<!channel>`) or pose as a link.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::channel::{Channel, Notice, Trouble};
use super::post;
use crate::actions::secret::SecretRef;
use crate::model::alert::{Level, cut};

/// The address of the webhook.
pub(super) struct Slack(pub(super) SecretRef);

/// The longest text of a block, in characters; the level comes before it. Slack cuts longer ones by itself,
/// in the middle of an escape if need be.
const MAX_TEXT: usize = 2_980;

impl Channel for Slack {
    fn kind(&self) -> &'static str {
        "slack"
    }

    fn send<'a>(&'a self, notice: &'a Notice, _step: &'a str) -> BoxFuture<'a, Result<(), Trouble>> {
        async move {
            let url = self.0.read().await.map_err(Trouble::Final)?;
            post::json(url.expose(), HeaderMap::new(), &body(notice), &[&url]).await
        }
        .boxed()
    }
}

fn body(notice: &Notice) -> Value {
    let (word, color) = match notice.level {
        Level::Info => ("INFO", "#439fe0"),
        Level::Warning => ("WARNING", "warning"),
        Level::Critical => ("CRITICAL", "danger"),
    };
    let field = |title: &str, value: &str| json!({ "title": title, "value": escaped(value), "short": true });
    let target = notice.target.as_deref().map(|target| field("Target", target));
    let rule = (!notice.rule.is_empty()).then(|| field("Rule", &notice.rule));
    let fields: Vec<Value> = target.into_iter().chain(rule).collect();
    let title = escaped(&notice.title);
    json!({
        "text": format!("*{word}* {title}"),
        "attachments": [{
            "fallback": title,
            "color": color,
            "text": escaped(&notice.words()),
            "fields": fields,
            "footer": format!("Paramedic, alert {}", notice.alert),
        }],
    })
}

/// What an event brought along, escaped, and cut with a mark where it would be longer than Slack takes.
fn escaped(text: &str) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    let mut most = MAX_TEXT;
    loop {
        let escaped = escape(&cut(text, most));
        let over = escaped.chars().count().saturating_sub(MAX_TEXT);
        if over == 0 {
            return escaped;
        }
        // An escape is five characters at most, so this ends after a few rounds and never in the middle of one.
        most = most.min(text.chars().count()).saturating_sub(over.div_ceil(5).max(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_event_brought_along_cannot_call_the_whole_channel() {
        let notice = Notice {
            alert: "01A".into(),
            level: Level::Critical,
            title: "<!channel> a & b".into(),
            message: "see <https://evil.example|here>".into(),
            target: Some("<@U1>".into()),
            count: 1,
            ..Notice::default()
        };
        assert_eq!(
            body(&notice),
            json!({
                "text": "*CRITICAL* &lt;!channel&gt; a &amp; b",
                "attachments": [{
                    "fallback": "&lt;!channel&gt; a &amp; b", "color": "danger",
                    "text": "see &lt;https://evil.example|here&gt;",
                    "fields": [{ "title": "Target", "value": "&lt;@U1&gt;", "short": true }],
                    "footer": "Paramedic, alert 01A",
                }],
            })
        );
    }

    #[test]
    fn what_is_longer_than_slack_takes_is_cut_with_a_mark_and_never_within_an_escape() {
        for text in
            ["a".repeat(5_000), "<".repeat(5_000), format!("{}&", "ü".repeat(2_979)), "a&".repeat(1_490)]
        {
            let sent = escaped(&text);
            assert!(sent.chars().count() <= MAX_TEXT, "{}", sent.chars().count());
            assert!(sent.ends_with("… [cut]"), "{}", &sent[sent.len() - 20..]);
            assert!(sent.matches('&').count() == sent.matches(';').count());
        }
    }
}
