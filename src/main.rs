//! The `kinstr` binary.

fn main() -> std::process::ExitCode {
    kinstr::cli::main()
}
