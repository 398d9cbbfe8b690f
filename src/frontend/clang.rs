//! clang as a confined child process, and what it says.

use crate::{
    program,
    worker::tool::{Ended, Tool},
};
use kinstr_passes::context::Message;
use kinstr_trace::sites::Place;
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the compiler is looked for: by name on the `PATH`, or at its place in Debian.
pub const COMPILERS: [&str; 2] = ["clang-22", "/usr/lib/llvm-22/bin/clang"];
/// Time for one compilation. Kernels compile in well under a second; a template that never ends does not.
const TIME: Duration = Duration::from_secs(60);
/// Bytes of address space for one compilation.
const MEMORY: u64 = 4 << 30;
/// Errors that are shown of a candidate.
const ERRORS: usize = 20;

/// The compiler that will be used, if there is one.
pub fn find() -> Option<PathBuf> {
    program::find(&COMPILERS)
}

/// How a compilation ended.
pub enum Compilation {
    /// It left what it was asked for.
    Done,
    /// It refused the file.
    Refused(Vec<Message>),
    /// It ran out of time or memory, or crashed: what it did.
    Broke(String),
}

/// Runs `compiler` with `arguments` in `scratch`. Messages name `shown` where they mean the file `file`.
pub fn run(
    compiler: &Path,
    arguments: &[OsString],
    scratch: &Path,
    file: &str,
    shown: &str,
) -> io::Result<Compilation> {
    let tool = Tool { program: compiler, arguments, scratch, time: TIME, memory: MEMORY };
    let (ended, said) = tool.run()?;
    let messages = messages(&said, file, shown);
    if ended != Ended::Exited(0) && disk_is_full(&messages, &said) {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(match ended {
        Ended::Exited(0) => Compilation::Done,
        Ended::Exited(_) if !messages.is_empty() => Compilation::Refused(messages),
        // What it would have said did not reach its file.
        Ended::Exited(status) if said.trim().is_empty() => {
            return Err(io::Error::other(format!("it failed with status {status} and said nothing")));
        }
        Ended::Exited(_) => Compilation::Broke(format!("failed: {}", said.trim())),
        Ended::TimedOut => Compilation::Broke(format!("takes more than {} s", TIME.as_secs())),
        Ended::Signalled(signal) => Compilation::Broke(format!(
            "ended the compiler with signal {signal}; it may have run out of its {} GiB of memory",
            MEMORY >> 30
        )),
    })
}

/// Whether the compiler had no room for its output. What has a place in the file is the candidate's own text.
fn disk_is_full(messages: &[Message], said: &str) -> bool {
    let full = |text: &str| program::FULL_DISK.iter().any(|words| text.contains(words));
    match messages.is_empty() {
        true => full(said),
        false => messages.iter().any(|message| message.place.is_none() && full(&message.text)),
    }
}

/// clang's `FILE:LINE:COLUMN: error: TEXT` lines; notes go with the error before them.
fn messages(said: &str, file: &str, shown: &str) -> Vec<Message> {
    let mut messages: Vec<Message> = Vec::new();
    for line in said.lines() {
        let Some((place, severity, text)) = message(line, file, shown) else { continue };
        if severity == "note" {
            messages.last_mut().into_iter().for_each(|last| last.notes.push((place.clone(), text.clone())));
        } else if severity != "warning" && messages.len() < ERRORS {
            messages.push(Message { error: true, place, text, notes: Vec::new() });
        }
    }
    messages
}

fn message<'a>(line: &'a str, file: &str, shown: &str) -> Option<(Option<Place>, &'a str, String)> {
    let severities = ["fatal error", "error", "warning", "note"];
    let (position, severity) = severities
        .iter()
        .filter_map(|severity| Some((line.find(&format!("{severity}: "))?, *severity)))
        .min_by_key(|(position, _)| *position)?;
    let text = line[position + severity.len() + 2..].to_owned();
    let place = line[..position].trim_end().strip_suffix(':').and_then(|place| {
        let mut parts = place.rsplitn(3, ':');
        let column = parts.next()?.parse().ok()?;
        let line = parts.next()?.parse().ok()?;
        let name = parts.next()?;
        Some(Place {
            file: if name.strip_prefix("./").unwrap_or(name) == file { shown } else { name }.to_owned(),
            line,
            column,
        })
    });
    Some((place, severity, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_from_a_candidate_that_speaks_of_one() {
        let full = |said: &str| disk_is_full(&messages(said, "k.c", "k.c"), said);
        assert!(full(
            "error: unable to open output file 'k.bc': 'No space left on device'\n1 error generated.\n"
        ));
        assert!(full("LLVM ERROR: IO failure on output stream: No space left on device\n"));
        assert!(!full("k.c:1:2: error: No space left on device\n1 error generated.\n"));
    }

    #[test]
    fn errors_keep_their_places_and_notes() {
        let said = "k.c:3:7: error: expected ';' after expression\nk.c:1:1: note: to match this\n\
                    /usr/include/x.h:9:1: warning: odd\nclang: error: no such file\n2 errors generated.\n";
        let found = messages(said, "k.c", "folder/k.c");
        let place = |line, column| Some(Place { file: "folder/k.c".into(), line, column });
        assert_eq!(found.len(), 2);
        assert_eq!(
            (&found[0].place, found[0].text.as_str()),
            (&place(3, 7), "expected ';' after expression")
        );
        assert_eq!(found[0].notes, [(place(1, 1), "to match this".to_owned())]);
        assert_eq!((&found[1].place, found[1].text.as_str()), (&None, "no such file"));
    }
}
