//! What an expression may call. This table is the one list: the check at load, the help in errors and the
//! documentation follow it.

/// A function or method that an expression may call.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// How many values it takes at least, the one before the dot included.
    pub least: usize,
    /// How many at most.
    pub most: usize,
    /// How it is written.
    pub usage: &'static str,
    /// What it answers.
    pub about: &'static str,
}

const fn f(
    name: &'static str,
    least: usize,
    most: usize,
    usage: &'static str,
    about: &'static str,
) -> Function {
    Function { name, least, most, usage, about }
}

/// All of them, by what they are about. Each can also be written as a method: `text.matches(pattern)`.
pub const FUNCTIONS: &[(&str, &[Function])] = &[
    (
        "Is it there",
        &[
            f("exists", 1, 1, "exists(x)", "whether the field is there and not `null`"),
            f("is_missing", 1, 1, "is_missing(x)", "the opposite; the same as `x == ()`"),
            f(
                "is_empty",
                1,
                1,
                "is_empty(x)",
                "whether a text, list or map has nothing in it; true of a missing one",
            ),
            f(
                "type_of",
                1,
                1,
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
                2,
                2,
                "text.contains(part)",
                "whether the text holds the part; of a list the element, of a map the key",
            ),
            f("starts_with", 2, 2, "text.starts_with(part)", "whether it begins so"),
            f("ends_with", 2, 2, "text.ends_with(part)", "whether it ends so"),
            f(
                "matches",
                2,
                2,
                "text.matches(\"^db-[0-9]+$\")",
                "whether the regular expression is found in it; in linear time; no look-around",
            ),
            f(
                "like",
                2,
                2,
                "text.like(\"db-*\")",
                "whether all of it is like that: `*` any letters, `?` one letter, `\\` takes the meaning away",
            ),
            f("iequals", 2, 2, "iequals(a, b)", "`==` with large and small letters alike"),
            f("icontains", 2, 2, "text.icontains(part)", "`contains` with large and small letters alike"),
            f(
                "istarts_with",
                2,
                2,
                "text.istarts_with(part)",
                "`starts_with` with large and small letters alike",
            ),
            f("iends_with", 2, 2, "text.iends_with(part)", "`ends_with` with large and small letters alike"),
            f("imatches", 2, 2, "text.imatches(regex)", "`matches` with large and small letters alike"),
            f("ilike", 2, 2, "text.ilike(pattern)", "`like` with large and small letters alike"),
            f("len", 1, 1, "len(x)", "how many letters, elements or keys; 0 of a missing one"),
            f("to_lower", 1, 1, "text.to_lower()", "in small letters"),
            f("to_upper", 1, 1, "text.to_upper()", "in large letters"),
            f("trim", 1, 1, "text.trim()", "without space at both ends"),
            f("replace", 3, 3, "text.replace(part, other)", "with each part replaced by the other"),
            f(
                "sub_string",
                2,
                3,
                "text.sub_string(start, length)",
                "a part of it, counted in letters from 0",
            ),
            f("split", 1, 2, "text.split(\",\")", "the list of its parts; without an argument, its words"),
            f(
                "index_of",
                2,
                3,
                "text.index_of(part)",
                "where the part begins, from 0, or -1; of a list, where the element is",
            ),
            f("to_string", 1, 1, "to_string(x)", "any value as text"),
        ],
    ),
    (
        "Lists",
        &[
            f("any", 2, 2, "list.any(|x| x.used > 90)", "whether it holds for at least one element"),
            f(
                "all",
                2,
                2,
                "list.all(|x| x.up)",
                "whether it holds for each; true of an empty list, false of a missing one",
            ),
            f(
                "none",
                2,
                2,
                "list.none(|x| x.up)",
                "whether it holds for no element; true of an empty list, false of a missing one",
            ),
            f("count", 2, 2, "list.count(|x| x.up)", "for how many elements it holds"),
            f("filter", 2, 2, "list.filter(|x| x.up)", "the elements for which it holds"),
            f("map", 2, 2, "list.map(|x| x.used)", "the list of what it is for each element"),
            f(
                "sum",
                1,
                1,
                "sum(list)",
                "the sum of its numbers; 0 of an empty one; missing elements are left out",
            ),
            f("avg", 1, 1, "avg(list)", "their mean; `()` of an empty one"),
            f("min", 1, 2, "min(list)", "the least element; also `min(a, b)`"),
            f("max", 1, 2, "max(list)", "the greatest element; also `max(a, b)`"),
            f(
                "first",
                1,
                1,
                "first(list)",
                "the first element, `()` if there is none; `list[0]` is the same",
            ),
            f("last", 1, 1, "last(list)", "the last element; `list[-1]` is the same"),
            f("unique", 1, 1, "unique(list)", "without those that were there before"),
            f("join", 2, 2, "list.join(\", \")", "its elements as one text"),
            f("keys", 1, 1, "keys(map)", "the list of its keys"),
            f("values", 1, 1, "values(map)", "the list of its values"),
        ],
    ),
    (
        "Numbers",
        &[
            f("abs", 1, 1, "abs(x)", "without its sign"),
            f("floor", 1, 1, "floor(x)", "rounded down"),
            f("ceiling", 1, 1, "ceiling(x)", "rounded up"),
            f("round", 1, 1, "round(x)", "rounded to the nearest whole number"),
            f("to_int", 1, 1, "to_int(x)", "as a whole number, also from text; `()` if it is none"),
            f("to_float", 1, 1, "to_float(x)", "as a number, also from text; `()` if it is none"),
            f("parse_int", 1, 2, "parse_int(text)", "the same as `to_int`"),
            f("parse_float", 1, 1, "parse_float(text)", "the same as `to_float`"),
        ],
    ),
    (
        "Times",
        &[
            f(
                "age",
                1,
                1,
                "age(data.started) > 5m",
                "the seconds from that time to the event's own time; there is no other clock",
            ),
            f(
                "time",
                1,
                1,
                "time(x)",
                "a time in seconds since 1970, to compare and subtract; `time(time)` is the event's",
            ),
            f(
                "duration",
                1,
                1,
                "duration(data.timeout)",
                "the seconds in a text such as `\"5m\"`, or in a number",
            ),
            f("hour", 1, 2, "hour(time, \"Europe/Berlin\")", "0 to 23; UTC without a zone"),
            f("minute", 1, 2, "minute(time)", "0 to 59"),
            f("weekday", 1, 2, "weekday(time, \"Europe/Berlin\")", "1 is Monday, 7 is Sunday"),
            f("day", 1, 2, "day(time)", "of the month"),
            f("month", 1, 2, "month(time)", "1 to 12"),
            f("year", 1, 2, "year(time)", "such as 2026"),
        ],
    ),
];

/// The names of all of them.
pub fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().flat_map(|(_, list)| list.iter().map(|function| function.name))
}

/// The function `name`, where there is one.
pub fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().flat_map(|(_, list)| *list).find(|function| function.name == name)
}
