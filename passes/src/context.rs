//! MLIR contexts with every dialect, every translation and the kprobe dialect; and what MLIR says.

use crate::{ffi, ir::place_of};
use kinstr_trace::sites::Place;
use melior::{
    Context,
    diagnostic::{Diagnostic, DiagnosticSeverity},
    dialect::DialectRegistry,
    utility::{register_all_dialects, register_all_llvm_translations, register_all_passes},
};
use std::{cell::RefCell, rc::Rc};

/// One error, warning or remark of MLIR.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// True for an error.
    pub error: bool,
    /// Where, if MLIR knew.
    pub place: Option<Place>,
    /// What.
    pub text: String,
    /// Attached notes, with their places.
    pub notes: Vec<(Option<Place>, String)>,
}

/// What MLIR has said since the last [`Messages::take`].
#[derive(Debug, Clone, Default)]
pub struct Messages(Rc<RefCell<Vec<Message>>>);

impl Messages {
    /// Takes everything said so far.
    pub fn take(&self) -> Vec<Message> {
        std::mem::take(&mut self.0.borrow_mut())
    }
}

/// A context ready for kinstr, and the messages it will collect instead of printing them.
///
/// # Errors
/// If the embedded dialect definition is not valid for the MLIR that was linked.
pub fn create() -> Result<(Context, Messages), kinstr_dialects::LoadError> {
    let registry = DialectRegistry::new();
    register_all_dialects(&registry);
    register_all_passes();
    // One thread: a candidate is one small module, and the pool costs more to start than it saves.
    let context = Context::new_with_registry(&registry, false);
    context.load_all_available_dialects();
    register_all_llvm_translations(&context);
    ffi::register_llvm_import(&context);
    kinstr_dialects::load(&context)?;
    let messages = Messages::default();
    let sink = messages.clone();
    context.attach_diagnostic_handler(move |diagnostic| {
        sink.0.borrow_mut().push(message(&diagnostic));
        true
    });
    Ok((context, messages))
}

fn message(diagnostic: &Diagnostic<'_>) -> Message {
    let notes = (0..diagnostic.note_count())
        .filter_map(|index| diagnostic.note(index).ok())
        .map(|note| (place_of(note.location()), note.to_string()))
        .collect();
    Message {
        error: matches!(diagnostic.severity(), DiagnosticSeverity::Error),
        place: place_of(diagnostic.location()),
        text: diagnostic.to_string(),
        notes,
    }
}
