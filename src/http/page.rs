//! What all resources read alike: paging, ids, query strings.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

use super::problem::Problem;
use crate::store::PAGE_BYTES;

/// A query string; what is wrong with one is told as a [`Problem`].
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Query), rejection(Problem))]
pub struct Query<T>(pub T);

/// The parts of a path; what is wrong with them is told as a [`Problem`].
#[derive(axum::extract::FromRequestParts)]
#[from_request(via(axum::extract::Path), rejection(Problem))]
pub struct Path<T>(pub T);

/// `?limit=&cursor=`
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paging {
    /// At most so many.
    pub limit: Option<usize>,
    /// Go on where a page ended.
    pub cursor: Option<String>,
}

/// Most items of a page.
const MOST: usize = 1_000;

impl Paging {
    /// The limit, within bounds.
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(100).clamp(1, MOST)
    }

    /// The limit where a list is small as a rule and asked for as a whole.
    pub fn wide(&self) -> usize {
        self.limit.unwrap_or(MOST).clamp(1, MOST)
    }

    /// The page of `items` that is asked for. `key` names an item, so that a page goes on at the right one although the
    /// list has changed meanwhile.
    ///
    /// # Errors
    /// 400 for a cursor that no page gave, 500 for an item that cannot be written.
    pub fn of<T: Serialize>(&self, items: &[T], key: impl Fn(&T) -> String) -> Result<List, Problem> {
        let start = match &self.cursor {
            None => 0,
            Some(cursor) => {
                let (place, last) = cursor
                    .split_once('.')
                    .and_then(|(place, last)| Some((place.parse::<usize>().ok()?, last)))
                    .ok_or_else(|| {
                        Problem::bad_request(format!(
                            "`{cursor}` is not a cursor: take `next_cursor` of the page before"
                        ))
                    })?;
                let is_last = |item: &T| key(item) == last;
                match place.checked_sub(1).and_then(|at| items.get(at)).is_some_and(is_last) {
                    true => place,
                    false => items.iter().position(is_last).map_or(place, |at| at + 1),
                }
            }
        };
        let start = start.min(items.len());
        let (mut page, mut bytes) = (Vec::new(), 0);
        for item in items.iter().skip(start).take(self.wide()) {
            let item = to_raw_value(item).map_err(|error| Problem::new(500, error.to_string()))?;
            bytes += item.get().len();
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            page.push(item);
        }
        let end = start + page.len();
        let last = end.checked_sub(1).and_then(|at| items.get(at)).filter(|_| end < items.len());
        Ok(List { items: page, next_cursor: last.map(|last| format!("{end}.{}", key(last))) })
    }
}

/// A page of a list that is held in memory.
#[derive(Debug, Serialize)]
pub struct List {
    items: Vec<Box<RawValue>>,
    next_cursor: Option<String>,
}

/// An id from a path.
///
/// # Errors
/// 404, as nothing has a name that is not an id.
pub fn id<T: FromStr>(text: &str, what: &str) -> Result<T, Problem> {
    text.parse().map_err(|_| Problem::not_found(format!("`{text}` is not the id of {what}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[String], limit: Option<usize>, cursor: Option<String>) -> (Vec<String>, Option<String>) {
        let list = Paging { limit, cursor }.of(items, String::clone).unwrap();
        (list.items.iter().map(|item| serde_json::from_str(item.get()).unwrap()).collect(), list.next_cursor)
    }

    #[test]
    fn pages_are_the_whole_list_also_where_it_changes_meanwhile() {
        let mut items: Vec<String> = (0..2_500).map(|n| format!("k{n:04}")).collect();
        let (first, cursor) = page(&items, None, None);
        assert_eq!(first, items[..1_000]);
        items.remove(500);
        items.insert(0, "new".into());
        items.insert(0, "newer".into());
        let (second, cursor) = page(&items, Some(9_999), cursor);
        assert_eq!((second[0].as_str(), second.len()), ("k1000", 1_000));
        let (third, cursor) = page(&items, None, cursor);
        assert_eq!((third.last().unwrap().as_str(), cursor), ("k2499", None));
        assert!(Paging { limit: None, cursor: Some("x".into()) }.of(&items, String::clone).is_err());
        assert_eq!(page(&[], None, None), (vec![], None));
    }

    #[test]
    fn a_page_is_bounded_in_bytes() {
        let items: Vec<String> = (0..30).map(|n| format!("{n}{}", "x".repeat(1 << 20))).collect();
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let (page, next) = page(&items, None, cursor);
            assert!(page.len() <= 8);
            seen.extend(page);
            cursor = next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(seen, items);
    }
}
