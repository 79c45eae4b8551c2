//! What an expression may call. This table is the one list: the check at load, the help in errors and the
//! documentation follow it.

/// A function or method that an expression may call.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How it is written.
    pub usage: &'static str,
    /// What it answers.
    pub about: &'static str,
}

const fn f(name: &'static str, usage: &'static str, about: &'static str) -> Function {
    Function { name, usage, about }
}

/// All of them, by what they are about. Each can also be written as a method: `text.matches(pattern)`.
pub const FUNCTIONS: &[(&str, &[Function])] = &[
    (
        "Is it there",
        &[
            f("exists", "exists(x)", "whether the field is there and not `null`"),
            f("is_missing", "is_missing(x)", "the opposite; the same as `x == ()`"),
            f(
                "is_empty",
                "is_empty(x)",
                "whether a text, list or map has nothing in it; true of a missing one",
            ),
            f(
                "type_of",
                "type_of(x)",
                "`\"string\"`, `\"i64\"`, `\"f64\"`, `\"bool\"`, `\"array\"`, `\"map\"` or `\"()\"`",
            ),
        ],
    ),
    (
        "Texts",
        &[
            f(
                "contains",
                "text.contains(part)",
                "whether the text holds the part; of a list the element, of a map the key",
            ),
            f("starts_with", "text.starts_with(part)", "whether it begins so"),
            f("ends_with", "text.ends_with(part)", "whether it ends so"),
            f(
                "matches",
                "text.matches(\"^db-[0-9]+$\")",
                "whether the regular expression is found in it; in linear time; no look-around",
            ),
            f(
                "like",
                "text.like(\"db-*\")",
                "whether all of it is like that: `*` any letters, `?` one letter, `\\` takes the meaning away",
            ),
            f("iequals", "iequals(a, b)", "`==` with large and small letters alike"),
            f("icontains", "text.icontains(part)", "`contains` with large and small letters alike"),
            f("istarts_with", "text.istarts_with(part)", "`starts_with` with large and small letters alike"),
            f("iends_with", "text.iends_with(part)", "`ends_with` with large and small letters alike"),
            f("imatches", "text.imatches(regex)", "`matches` with large and small letters alike"),
            f("ilike", "text.ilike(pattern)", "`like` with large and small letters alike"),
            f("len", "len(x)", "how many letters, elements or keys; 0 of a missing one"),
            f("to_lower", "text.to_lower()", "in small letters"),
            f("to_upper", "text.to_upper()", "in large letters"),
            f("trim", "text.trim()", "without space at both ends"),
            f("replace", "text.replace(part, other)", "with each part replaced by the other"),
            f("sub_string", "text.sub_string(start, length)", "a part of it, counted in letters from 0"),
            f("split", "text.split(\",\")", "the list of its parts; without an argument, its words"),
            f(
                "index_of",
                "text.index_of(part)",
                "where the part begins, from 0, or -1; of a list, where the element is",
            ),
            f("to_string", "to_string(x)", "any value as text"),
        ],
    ),
    (
        "Lists",
        &[
            f("any", "list.any(|x| x.used > 90)", "whether it holds for at least one element"),
            f(
                "all",
                "list.all(|x| x.up)",
                "whether it holds for each; true of an empty list, false of a missing one",
            ),
            f(
                "none",
                "list.none(|x| x.up)",
                "whether it holds for no element; true of an empty list, false of a missing one",
            ),
            f("count", "list.count(|x| x.up)", "for how many elements it holds"),
            f("filter", "list.filter(|x| x.up)", "the elements for which it holds"),
            f("map", "list.map(|x| x.used)", "the list of what it is for each element"),
            f("sum", "sum(list)", "the sum of its numbers; 0 of an empty one; missing elements are left out"),
            f("avg", "avg(list)", "their mean; `()` of an empty one"),
            f("min", "min(list)", "the least element; also `min(a, b)`"),
            f("max", "max(list)", "the greatest element; also `max(a, b)`"),
            f("first", "first(list)", "the first element, `()` if there is none; `list[0]` is the same"),
            f("last", "last(list)", "the last element; `list[-1]` is the same"),
            f("unique", "unique(list)", "without those that were there before"),
            f("join", "list.join(\", \")", "its elements as one text"),
            f("keys", "keys(map)", "the list of its keys"),
            f("values", "values(map)", "the list of its values"),
        ],
    ),
    (
        "Numbers",
        &[
            f("abs", "abs(x)", "without its sign"),
            f("floor", "floor(x)", "rounded down"),
            f("ceiling", "ceiling(x)", "rounded up"),
            f("round", "round(x)", "rounded to the nearest whole number"),
            f("to_int", "to_int(x)", "as a whole number, also from text; `()` if it is none"),
            f("to_float", "to_float(x)", "as a number, also from text; `()` if it is none"),
            f("parse_int", "parse_int(text)", "the same as `to_int`"),
            f("parse_float", "parse_float(text)", "the same as `to_float`"),
        ],
    ),
    (
        "Times",
        &[
            f(
                "age",
                "age(data.started) > 5m",
                "the seconds from that time to the event's own time; there is no other clock",
            ),
            f(
                "time",
                "time(x)",
                "a time in seconds since 1970, to compare and subtract; `time(time)` is the event's",
            ),
            f("duration", "duration(data.timeout)", "the seconds in a text such as `\"5m\"`, or in a number"),
            f("hour", "hour(time, \"Europe/Berlin\")", "0 to 23; UTC without a zone"),
            f("minute", "minute(time)", "0 to 59"),
            f("weekday", "weekday(time, \"Europe/Berlin\")", "1 is Monday, 7 is Sunday"),
            f("day", "day(time)", "of the month"),
            f("month", "month(time)", "1 to 12"),
            f("year", "year(time)", "such as 2026"),
        ],
    ),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().flat_map(|(_, list)| list.iter().map(|function| function.name))
}

/// How the function `name` is written, where there is one.
pub fn usage(name: &str) -> Option<&'static str> {
    FUNCTIONS.iter().flat_map(|(_, list)| *list).find(|f| f.name == name).map(|f| f.usage)
}
