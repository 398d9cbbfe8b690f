//! LLVM IR: a `.ll` file, taken as it is and optimised by kinstr for this CPU.

use super::{FrontendError, Language, Source};
use crate::codegen::machine::Machine;
use inkwell::{context::Context, memory_buffer::MemoryBuffer, module::Module};
use kinstr_passes::context::Message;
use kinstr_trace::sites::Place;

/// Parses and verifies `source`.
///
/// # Errors
/// [`FrontendError::Parse`] with LLVM's message and its place, or `OtherMachine`.
pub fn parse<'l>(source: &Source, llvm: &'l Context, machine: &Machine) -> Result<Module<'l>, FrontendError> {
    let invalid = |message: Message| FrontendError::Parse {
        path: source.path.clone(),
        language: Language::LlvmIr,
        messages: vec![message],
    };
    let file = source.path.to_string_lossy();
    let buffer = MemoryBuffer::create_from_memory_range_copy(source.text.as_bytes(), &file.replace('\0', ""));
    let module = llvm
        .create_module_from_ir(buffer)
        .map_err(|text| invalid(parse_message(&text.to_string(), &file)))?;
    check_machine(source, &module, machine)?;
    module.set_source_file_name(&source.file_name());
    module.verify().map_err(|text| invalid(Message { text: text.to_string(), ..error_without_place() }))?;
    Ok(module)
}

/// A module that names no machine gets this one's; another machine's data layout would change what it means.
fn check_machine(source: &Source, module: &Module<'_>, machine: &Machine) -> Result<(), FrontendError> {
    let refused = |theirs: String, ours: String| {
        Err(FrontendError::OtherMachine { path: source.path.clone(), theirs, ours })
    };
    let triple = module.get_triple();
    let theirs = triple.as_str().to_string_lossy();
    let ours = machine.triple();
    let of = |triple: &str| triple.split('-').next().unwrap_or_default().to_owned();
    if !theirs.is_empty() && (of(&theirs) != of(&ours) || theirs.contains("linux") != ours.contains("linux"))
    {
        return refused(theirs.into_owned(), ours);
    }
    let layout = module.get_data_layout().as_str().to_string_lossy().into_owned();
    if !layout.is_empty() && layout != machine.data_layout() {
        return refused(format!("data layout `{layout}`"), format!("`{}`", machine.data_layout()));
    }
    Ok(())
}

fn error_without_place() -> Message {
    Message { error: true, place: None, text: String::new(), notes: Vec::new() }
}

/// LLVM's `FILE:LINE:COLUMN: error: TEXT`, followed by the line and a caret, which the complaint shows itself.
fn parse_message(text: &str, file: &str) -> Message {
    let first = text.lines().next().unwrap_or_default();
    let placed = first.strip_prefix(file).and_then(|rest| rest.strip_prefix(':')).and_then(|rest| {
        let mut parts = rest.splitn(3, ':');
        let line = parts.next()?.parse().ok()?;
        let column = parts.next()?.parse().ok()?;
        let text = parts.next()?.trim();
        let place = Place { file: file.to_owned(), line, column };
        Some((place, text.strip_prefix("error: ").unwrap_or(text).to_owned()))
    });
    match placed {
        Some((place, text)) => Message { place: Some(place), text, ..error_without_place() },
        None => Message { text: text.trim().to_owned(), ..error_without_place() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_a_parse_error_is_kept() {
        let message = parse_message("a/b.ll:3:5: error: expected type\n  %x\n  ^\n", "a/b.ll");
        assert_eq!(message.place, Some(Place { file: "a/b.ll".into(), line: 3, column: 5 }));
        assert_eq!(message.text, "expected type");
        assert_eq!(parse_message("something else", "b.ll").text, "something else");
    }
}
