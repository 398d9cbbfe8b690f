//! Capacities of the memory levels.

use std::path::Path;

use crate::shared::page_bytes;

/// A memory level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Level {
    /// `L1`, `L2`, `L3` or `DRAM`.
    pub(super) name: String,
    pub(super) capacity_bytes: u64,
}

/// Data caches of the first core as the kernel lists them, nearest first, and main memory.
pub(super) fn levels() -> Vec<Level> {
    let mut levels = caches(Path::new("/sys/devices/system/cpu/cpu0/cache"));
    levels.push(Level { name: "DRAM".into(), capacity_bytes: memory_bytes() });
    levels
}

/// Times a cache that is overwritten to make it cold: a cache does not throw out the oldest line first.
const TIMES_CACHE: u64 = 2;
/// Overwritten where the system does not list its caches.
const UNKNOWN_CACHE: u64 = 64 << 20;

/// Bytes that take the place of everything else in this core's caches once they are overwritten: in its own ones where
/// tensors can be flushed from the last one, which cores share, line by line; else in that too.
pub fn eviction_bytes() -> u64 {
    let caches = caches(Path::new("/sys/devices/system/cpu/cpu0/cache"));
    let covered = if cfg!(target_arch = "x86_64") { caches.iter().rev().nth(1) } else { caches.last() };
    covered.map_or(UNKNOWN_CACHE, |cache| cache.capacity_bytes) * TIMES_CACHE
}

fn caches(directory: &Path) -> Vec<Level> {
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let mut levels: Vec<_> = entries.filter_map(|entry| cache(&entry.path())).collect();
    levels.sort_by_key(|level| level.capacity_bytes);
    levels
}

fn cache(directory: &Path) -> Option<Level> {
    let read = |name| std::fs::read_to_string(directory.join(name)).ok();
    if read("type")?.trim() == "Instruction" {
        return None;
    }
    let name = format!("L{}", read("level")?.trim());
    Some(Level { name, capacity_bytes: parse_size(read("size")?.trim())? })
}

/// `32K` or `8M` in bytes.
fn parse_size(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

fn memory_bytes() -> u64 {
    // SAFETY: sysconf reads a constant of the system.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0) * page_bytes() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        assert_eq!(parse_size("32K"), Some(32 << 10));
        assert_eq!(parse_size("8M"), Some(8 << 20));
        assert_eq!(parse_size("12"), Some(12));
        assert_eq!(parse_size("K"), None);
        assert_eq!(parse_size("3X"), None);
    }

    #[test]
    fn instruction_caches_are_left_out_and_the_rest_sorted() {
        let root = std::env::temp_dir().join(format!("kinstr-caches-{}", std::process::id()));
        for (index, (level, kind, size)) in
            [("2", "Unified", "1M"), ("1", "Data", "32K"), ("1", "Instruction", "32K")]
                .into_iter()
                .enumerate()
        {
            let cache = root.join(format!("index{index}"));
            std::fs::create_dir_all(&cache).unwrap();
            for (name, value) in [("level", level), ("type", kind), ("size", size)] {
                std::fs::write(cache.join(name), format!("{value}\n")).unwrap();
            }
        }
        let names: Vec<_> = caches(&root).into_iter().map(|level| level.name).collect();
        std::fs::remove_dir_all(&root).unwrap();
        assert_eq!(names, ["L1", "L2"]);
    }
}
