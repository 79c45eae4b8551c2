//! In which order kernels boot, as `depends_on` has it.

use std::collections::{BTreeMap, BTreeSet};

use super::Spec;

/// How many kernels must boot one after the other before each: 0 for one that needs none. Circles are refused at load.
pub(in crate::kernels) fn ranks<'a>(
    specs: impl Iterator<Item = &'a Spec> + Clone,
) -> BTreeMap<&'a str, usize> {
    let mut ranks: BTreeMap<&str, usize> = specs.clone().map(|spec| (spec.name.as_str(), 0)).collect();
    // Each round carries a rank one step further, and there are no longer chains than kernels.
    for _ in 0..ranks.len() {
        let mut changed = false;
        for spec in specs.clone() {
            let below = spec.depends_on.iter().filter_map(|needed| ranks.get(needed.as_str())).max();
            let rank = below.map_or(0, |below| below + 1);
            changed |= ranks.insert(spec.name.as_str(), rank) != Some(rank);
        }
        if !changed {
            break;
        }
    }
    ranks
}

/// A circle of `depends_on`, as the names along it; every name is known to exist.
pub(super) fn circle(specs: &[Spec]) -> Option<Vec<String>> {
    let needs: BTreeMap<&str, &[String]> =
        specs.iter().map(|spec| (spec.name.as_str(), spec.depends_on.as_slice())).collect();
    let mut done = BTreeSet::new();
    for spec in specs {
        // Depth first, with the path kept by hand: a long chain must not exhaust the stack.
        let mut path = vec![(spec.name.as_str(), 0)];
        while let Some((name, next)) = path.last_mut() {
            let name = *name;
            let Some(needed) = needs.get(name).and_then(|list| list.get(*next)) else {
                done.insert(name);
                path.pop();
                continue;
            };
            *next += 1;
            if let Some(start) = path.iter().position(|(on_path, _)| on_path == needed) {
                let names = path[start..].iter().map(|(name, _)| (*name).to_owned());
                return Some(names.chain([needed.clone()]).collect());
            }
            if !done.contains(needed.as_str()) {
                path.push((needed, 0));
            }
        }
    }
    None
}
