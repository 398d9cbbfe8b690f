//! The Python host, carried in this binary and unpacked where Python can import it.
use super::ReferenceError;
use crate::store::cache_dir;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The files of the package, by name.
const FILES: [(&str, &str); 17] = [
    ("__init__.py", include_str!("../../python/kinstr/__init__.py")),
    ("bytecode.py", include_str!("../../python/kinstr/bytecode.py")),
    ("candidate.py", include_str!("../../python/kinstr/candidate.py")),
    ("faults.py", include_str!("../../python/kinstr/faults.py")),
    ("host.py", include_str!("../../python/kinstr/host.py")),
    ("kernelbench.py", include_str!("../../python/kinstr/kernelbench.py")),
    ("kernels.py", include_str!("../../python/kinstr/kernels.py")),
    ("launches.py", include_str!("../../python/kinstr/launches.py")),
    ("leaving.py", include_str!("../../python/kinstr/leaving.py")),
    ("loading.py", include_str!("../../python/kinstr/loading.py")),
    ("plain.py", include_str!("../../python/kinstr/plain.py")),
    ("refusal.py", include_str!("../../python/kinstr/refusal.py")),
    ("streams.py", include_str!("../../python/kinstr/streams.py")),
    ("tensors.py", include_str!("../../python/kinstr/tensors.py")),
    ("triton_compiler.py", include_str!("../../python/kinstr/triton_compiler.py")),
    ("triton_stages.py", include_str!("../../python/kinstr/triton_stages.py")),
    ("watch.py", include_str!("../../python/kinstr/watch.py")),
];

/// Unpacks the package; gives the folder to put on `PYTHONPATH`.
///
/// The folder is named by the digest of the contents, so versions do not meet.
///
/// # Errors
/// When the cache directory cannot be written.
pub(super) fn unpack() -> Result<PathBuf, ReferenceError> {
    let cache = cache_dir();
    unpack_under(&cache).map_err(|source| ReferenceError::Unpack { path: cache, source })
}

fn unpack_under(cache: &Path) -> io::Result<PathBuf> {
    let mut hasher = blake3::Hasher::new();
    for (name, text) in FILES {
        hasher.update(name.as_bytes()).update(&[0]).update(text.as_bytes()).update(&[0]);
    }
    let root = cache.join("python").join(&hasher.finalize().to_hex()[..16]);
    let package = root.join("kinstr");
    fs::create_dir_all(&package)?;
    for (name, text) in FILES {
        let path = package.join(name);
        if fs::read(&path).ok().as_deref() != Some(text.as_bytes()) {
            write_whole(&package, &path, text)?;
        }
    }
    Ok(root)
}

/// Another process that unpacks at the same time sees all of a file or nothing of it.
fn write_whole(folder: &Path, path: &Path, text: &str) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut file, text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unpacking_twice_repairs_what_was_changed() {
        let cache = tempfile::tempdir().unwrap();
        let root = unpack_under(cache.path()).unwrap();
        let host = root.join("kinstr/host.py");
        fs::write(&host, "changed").unwrap();
        assert_eq!(unpack_under(cache.path()).unwrap(), root);
        assert!(fs::read_to_string(&host).unwrap().contains("def main"));
    }

    #[test]
    fn every_module_of_the_package_is_carried() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("python/kinstr");
        let mut modules: Vec<String> = fs::read_dir(source)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.ends_with(".py"))
            .collect();
        modules.sort();
        assert_eq!(modules, FILES.map(|(name, _)| name));
    }
}
