//! The `kinstr` binary.

fn main() -> std::process::ExitCode {
    // Before anything else: a worker is started for every candidate, and needs none of the rest.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "worker") {
        kinstr_runtime::worker::main()
    }
    kinstr::cli::main()
}
