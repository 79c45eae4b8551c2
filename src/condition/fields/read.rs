//! Leads the reader along the trie of wanted fields.

use super::{Fields, Node};
use crate::condition::json::{Broken, Reader, Start};
use crate::condition::scalar::Scalar;

/// Reads one value, which stands at `node`, into `slots`. Recursion goes no deeper than the wanted paths.
pub(super) fn value<'t>(
    fields: &Fields,
    node: &Node,
    json: &mut Reader<'t>,
    slots: &mut [Scalar<'t>],
) -> Result<(), Broken> {
    match json.start()? {
        Start::Map => map(fields, node, json, slots),
        Start::List => list(fields, node, json, slots),
        Start::Single => {
            let value = json.single()?;
            node.set(slots, value);
            Ok(())
        }
    }
}

fn map<'t>(
    fields: &Fields,
    node: &Node,
    json: &mut Reader<'t>,
    slots: &mut [Scalar<'t>],
) -> Result<(), Broken> {
    if !node.indexes.is_empty() {
        fields.forget(node.indexes.iter(), slots);
    }
    if let Some(slot) = node.slot {
        slots[slot as usize] = Scalar::Map;
    }
    let mut first = true;
    while let Some(key) = json.key(first)? {
        first = false;
        match node.child(&key) {
            None => json.skip()?,
            Some(child) => {
                let node = &fields.nodes[child as usize];
                node.reset(slots);
                value(fields, node, json, slots)?;
            }
        }
    }
    Ok(())
}

fn list<'t>(
    fields: &Fields,
    node: &Node,
    json: &mut Reader<'t>,
    slots: &mut [Scalar<'t>],
) -> Result<(), Broken> {
    if !node.names.is_empty() {
        fields.forget(node.names.iter(), slots);
    }
    let (mut n, mut wanted) = (0, node.indexes.iter().peekable());
    while json.element(n == 0)? {
        match wanted.next_if(|(index, _)| *index == n) {
            None => json.skip()?,
            Some((_, child)) => value(fields, &fields.nodes[*child as usize], json, slots)?,
        }
        n += 1;
    }
    if let Some(slot) = node.slot {
        slots[slot as usize] = Scalar::Array(n);
    }
    Ok(())
}
