//! Near names, for hints after a name that does not exist.

/// The names that `wanted` was probably meant to be, best first; at most three.
///
/// A name counts as near when few letters differ (a third of the longer one, swaps counted once), whatever the case, and no other
/// name is nearer by more than one.
pub fn near_names<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let folded = wanted.to_lowercase();
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .map(|name| (strsim::damerau_levenshtein(&folded, &name.to_lowercase()), name))
        .filter(|(distance, name)| *distance <= name.len().max(wanted.len()).div_ceil(3).min(3))
        .collect();
    ranked.sort();
    let Some((best, _)) = ranked.first().copied() else { return Vec::new() };
    ranked
        .into_iter()
        .take_while(|(distance, _)| *distance <= best + 1)
        .map(|(_, name)| name)
        .take(3)
        .collect()
}

/// A hint for people: the near names, or else every name.
pub fn hint<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str> + Clone) -> String {
    let near = near_names(wanted, names.clone());
    let quoted = |names: Vec<&str>| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
    let all: Vec<&str> = names.into_iter().collect();
    match (near.is_empty(), all.is_empty()) {
        (false, _) => format!("did you mean {}?", quoted(near)),
        (true, false) => format!("there are {}", quoted(all)),
        (true, true) => "there are none".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_found_and_strangers_are_not() {
        let names = ["inputs", "outputs", "workloads"];
        assert_eq!(near_names("input", names), ["inputs"]);
        assert_eq!(near_names("Worklaods", names), ["workloads"]);
        assert!(near_names("tolerance", names).is_empty());
    }

    #[test]
    fn short_names_need_a_short_way() {
        assert_eq!(near_names("m", ["M", "N"]), ["M", "N"]);
        assert!(near_names("K", ["batch"]).is_empty());
    }

    #[test]
    fn the_hint_lists_everything_when_nothing_is_near() {
        assert_eq!(hint("zzz", ["M", "N"]), "there are `M`, `N`");
        assert_eq!(hint("m", ["M", "batch"]), "did you mean `M`?");
    }
}
