//! LLVM IR in the words of the LLVM that Triton carries, which is older than kinstr's by some months.
//!
//! Reading Triton's text, LLVM brings it up to date: some intrinsics get new names, and the declarations of all get the
//! attributes that they have nowadays. Triton's reader knows neither the ones nor the others. It gives intrinsics their
//! attributes itself, so that none need be written.

use std::collections::{BTreeMap, BTreeSet};

/// `printed` by kinstr's LLVM, as the one that wrote `original` reads it.
pub fn as_triton_reads_it(printed: &str, original: &str) -> String {
    let renamed = older_names(printed, original);
    let lines: Vec<String> = printed.lines().map(|line| translated(line, &renamed)).collect();
    let used: BTreeSet<&str> =
        lines.iter().filter(|line| group_of(line).is_none()).flat_map(|line| groups_in(line)).collect();
    let is_needed = |line: &&String| group_of(line).is_none_or(|group| used.contains(group));
    lines.iter().filter(is_needed).map(|line| format!("{line}\n")).collect()
}

/// What intrinsics were called that the original does not have: an old name is the beginning of its new one.
fn older_names<'t>(printed: &'t str, original: &'t str) -> BTreeMap<&'t str, &'t str> {
    let (now, before) = (declared(printed), declared(original));
    let gone = |name: &&&str| !now.contains(**name);
    let older = |new: &&'t str| {
        let fits = before.iter().filter(gone).filter(|old| new.starts_with(**old));
        fits.max_by_key(|old| old.len()).map(|old| (*new, *old))
    };
    now.iter().filter(|new| !before.contains(*new)).filter_map(older).collect()
}

fn declared(text: &str) -> BTreeSet<&str> {
    text.lines().filter(|line| line.starts_with("declare ")).filter_map(intrinsic).collect()
}

/// The intrinsic that a declaration is of.
fn intrinsic(declaration: &str) -> Option<&str> {
    let start = declaration.find("@llvm.")?;
    declaration[start..].split_once('(').map(|(name, _)| name)
}

fn translated(line: &str, renamed: &BTreeMap<&str, &str>) -> String {
    let line = match line.starts_with("declare ").then(|| intrinsic(line)).flatten() {
        Some(_) => line.rfind(" #").map_or(line, |at| &line[..at]),
        None => line,
    };
    // Names end with their bracket, so that none is taken for the beginning of another.
    renamed
        .iter()
        .fold(line.to_owned(), |line, (new, old)| line.replace(&format!("{new}("), &format!("{old}(")))
}

/// The `#4` that an attribute group defines.
fn group_of(line: &str) -> Option<&str> {
    line.strip_prefix("attributes ")?.split_once(' ').map(|(group, _)| group)
}

/// Every `#4` in a line.
fn groups_in(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices('#').map(|(at, _)| {
        let digits = line[at + 1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(line.len() - at - 1);
        &line[at..=at + digits]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intrinsics_get_their_old_names_and_lose_their_attributes() {
        let original = "declare float @llvm.nvvm.ex2.approx.f(float) #1\ndeclare float @llvm.nvvm.ex2.approx.ftz.f(float) #1\n";
        let printed = "define void @k() #0 {\n  %1 = call float @llvm.nvvm.ex2.approx.f32(float %0), !dbg !4\n  \
                       %2 = call float @llvm.nvvm.ex2.approx.ftz.f32(float %0) #10\n}\n\
                       declare float @llvm.nvvm.ex2.approx.f32(float) #1\n\
                       declare float @llvm.nvvm.ex2.approx.ftz.f32(float) #1\ndeclare i32 @__nvvm_reflect(ptr) #2\n\
                       attributes #0 = { nounwind }\nattributes #1 = { nocreateundeforpoison }\n\
                       attributes #2 = { nounwind }\nattributes #10 = { nounwind }\n";
        let wanted = "define void @k() #0 {\n  %1 = call float @llvm.nvvm.ex2.approx.f(float %0), !dbg !4\n  \
                      %2 = call float @llvm.nvvm.ex2.approx.ftz.f(float %0) #10\n}\n\
                      declare float @llvm.nvvm.ex2.approx.f(float)\n\
                      declare float @llvm.nvvm.ex2.approx.ftz.f(float)\ndeclare i32 @__nvvm_reflect(ptr) #2\n\
                      attributes #0 = { nounwind }\nattributes #2 = { nounwind }\nattributes #10 = { nounwind }\n";
        assert_eq!(as_triton_reads_it(printed, original), wanted);
    }
}
