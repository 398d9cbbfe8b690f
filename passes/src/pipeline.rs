//! Textual pass pipelines: MLIR's own passes, run by MLIR's pass manager, one top-level element at a time
//! where the caller must look between them.

use crate::context::{Message, Messages};
use melior::{Context, ir::Module, pass::PassManager, utility::parse_pass_pipeline};

/// Why a pipeline did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The text is no pipeline.
    #[error("`{pipeline}` is not a pass pipeline: {reason}")]
    Parse {
        /// The text.
        pipeline: String,
        /// MLIR's reason.
        reason: String,
    },
    /// A pass failed.
    #[error("pass pipeline `{pipeline}` failed")]
    Run {
        /// The part that failed.
        pipeline: String,
        /// What MLIR said.
        messages: Vec<Message>,
    },
}

/// Runs `pipeline`, with or without `builtin.module(...)` around it, over `module`; the module is verified
/// after each pass. An empty pipeline does nothing.
///
/// # Errors
/// [`PipelineError`]; after `Run` the module is in the state the failing pass left it in.
pub fn run<'c>(
    context: &'c Context,
    messages: &Messages,
    module: &mut Module<'c>,
    pipeline: &str,
) -> Result<(), PipelineError> {
    let inner = strip_anchor(pipeline);
    if inner.is_empty() {
        return Ok(());
    }
    let manager = PassManager::new(context);
    parse_pass_pipeline(manager.as_operation_pass_manager(), &format!("builtin.module({inner})")).map_err(
        |error| {
            messages.take();
            PipelineError::Parse { pipeline: pipeline.trim().into(), reason: parse_reason(&error) }
        },
    )?;
    messages.take();
    manager
        .run(module)
        .map_err(|_| PipelineError::Run { pipeline: pipeline.trim().into(), messages: messages.take() })
}

fn parse_reason(error: &melior::Error) -> String {
    let text = error.to_string();
    text.rsplit_once("error: ").map_or(text.clone(), |(_, reason)| reason.trim().to_owned())
}

/// The elements of a pipeline that stand at its top level, `builtin.module(...)` around it taken off.
pub fn elements(pipeline: &str) -> Vec<String> {
    let mut depth = 0_i32;
    let mut parts = vec![String::new()];
    for character in strip_anchor(pipeline).chars() {
        match character {
            '(' | '{' | '[' | '<' => depth += 1,
            ')' | '}' | ']' | '>' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            _ => {}
        }
        if let Some(part) = parts.last_mut() {
            part.push(character);
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn strip_anchor(pipeline: &str) -> &str {
    let trimmed = pipeline.trim();
    trimmed.strip_prefix("builtin.module(").and_then(|rest| rest.strip_suffix(')')).map_or(trimmed, str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_commas_at_the_top_level_split() {
        let pipeline = "builtin.module(cse, func.func(a,b{x=1,2}),one-shot-bufferize{x=1 y=2})";
        assert_eq!(elements(pipeline), ["cse", "func.func(a,b{x=1,2})", "one-shot-bufferize{x=1 y=2}"]);
        assert!(elements(" ").is_empty());
    }
}
