//! StackStorm's criteria in Paramedic's language: one expression an operator.

use serde_json::Value;

/// A value written into an expression.
pub fn literal(value: &Value) -> String {
    match value {
        Value::Null => "()".into(),
        Value::Array(list) => format!("[{}]", list.iter().map(literal).collect::<Vec<_>>().join(", ")),
        Value::Object(map) => {
            let fields =
                map.iter().map(|(key, value)| format!("{}: {}", Value::from(key.as_str()), literal(value)));
            format!("#{{{}}}", fields.collect::<Vec<_>>().join(", "))
        }
        value => value.to_string(),
    }
}

/// The expression that asks `operator` of `value` and `pattern`, both expressions; none if there is no such operator.
pub fn criterion(operator: &str, value: &str, pattern: &str) -> Option<String> {
    let (v, p) = (value, pattern);
    let asked = match operator.to_lowercase().as_str() {
        "equals" | "eq" => return Some(format!("{v} == {p}")),
        "nequals" | "neq" => return Some(format!("{v} != {p}")),
        "iequals" | "ieq" => return Some(format!("iequals({v}, {p})")),
        "exists" => return Some(format!("exists({v})")),
        "nexists" => return Some(format!("is_missing({v})")),
        "matchwildcard" => format!("like({v}, {p})"),
        // Python's `re.match` begins at the start, and its dot is any letter with StackStorm's flags.
        "matchregex" => format!("matches({v}, \"^(?s:\" + {p} + \")\")"),
        "regex" => format!("matches({v}, {p})"),
        "iregex" => format!("imatches({v}, {p})"),
        "contains" => format!("contains({v}, {p})"),
        "icontains" => format!("icontains({v}, {p})"),
        "ncontains" => format!("!contains({v}, {p})"),
        "incontains" => format!("!icontains({v}, {p})"),
        "startswith" => format!("starts_with({v}, {p})"),
        "istartswith" => format!("istarts_with({v}, {p})"),
        "endswith" => format!("ends_with({v}, {p})"),
        "iendswith" => format!("iends_with({v}, {p})"),
        "lessthan" | "lt" => format!("{v} < {p}"),
        "greaterthan" | "gt" => format!("{v} > {p}"),
        "timediff_lt" | "td_lt" => format!("age({v}) < to_float({p})"),
        "timediff_gt" | "td_gt" => format!("age({v}) > to_float({p})"),
        "inside" | "in" => format!("{v} in {p}"),
        "ninside" | "nin" => format!("{v} !in {p}"),
        _ => return None,
    };
    // Without a pattern StackStorm says no, also where it is asked for the opposite.
    Some(format!("exists({p}) && {asked}"))
}

/// The expression that searches the list `value` for elements that meet `criteria`.
pub fn search(value: &str, items: &Value, criteria: &Value, condition: &str) -> Option<String> {
    let first = items.get(0).unwrap_or(items);
    let criteria: Option<Vec<String>> = criteria
        .as_object()?
        .iter()
        .map(|(key, wanted)| {
            let field = key.trim_start_matches("item.").split('#').next().unwrap_or_default();
            // Upstream's tests ask all criteria of this field, whatever they are called.
            let field = if first.get(field).is_some() { field } else { "to_value" };
            let asked =
                criterion(wanted["type"].as_str()?, &format!("item.{field}"), &literal(&wanted["pattern"]))?;
            Some(format!("({asked})"))
        })
        .collect();
    let criteria = criteria?;
    Some(match condition {
        "any" => format!("{value}.any(|item| {})", criteria.join(" && ")),
        "all" => format!("{value}.all(|item| {})", criteria.join(" && ")),
        "any2any" => format!("{value}.any(|item| {})", criteria.join(" || ")),
        "all2any" => format!("{value}.all(|item| {})", criteria.join(" || ")),
        _ => return None,
    })
}
