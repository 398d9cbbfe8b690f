//! x
fn main() {
    // Before anything else: a worker is started for every candidate, and needs none of the rest.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == "worker") {
        kinstr_runtime::worker::main()
    }
    let r = melior::dialect::DialectRegistry::new();
    melior::utility::register_all_dialects(&r);
    let c = melior::Context::new();
    c.append_dialect_registry(&r);
    c.load_all_available_dialects();
    let l = inkwell::context::Context::create();
    let _ = l.create_module("x");
}
