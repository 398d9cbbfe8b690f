//! `# kinstr: kernel=NAME(ARGUMENTS) OPTIONS`: what a Triton kernel is compiled for where nothing launches it.

use serde::Serialize;
use serde_json::Value;

/// One kernel, and what it is specialised to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelSpec {
    /// The function's name.
    pub name: String,
    /// Its arguments in order.
    pub arguments: Vec<Argument>,
    /// Triton's options, by Triton's names: `num_warps` and the like.
    pub options: serde_json::Map<String, Value>,
    /// The directive's line, from 1.
    pub line: usize,
}

/// An argument of a kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Argument {
    /// Given at launch; of a type in Triton's words.
    Typed {
        /// `*fp32`, `i32`.
        r#type: String,
        /// Whether 16 divides it.
        divisible: bool,
    },
    /// Known when it is compiled.
    Constant(Value),
}

/// Why such a line is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the fields are what the messages name")]
pub enum KernelError {
    /// No name and list.
    #[error("`{text}` names no kernel with its arguments, as in `add(*fp32:16, i32, 1024)`")]
    Form { text: String },
    /// No argument.
    #[error("`{text}` is no argument: a type as `*fp32`, `*fp32:16` or `i32`, or a constant")]
    Argument { text: String },
    /// No option.
    #[error("`{text}` is no option: known are `warps=N`, `stages=N`, `ctas=N`, `registers=N`")]
    Option { text: String },
}

/// Options by their names here and Triton's.
const OPTIONS: [(&str, &str); 4] =
    [("warps", "num_warps"), ("stages", "num_stages"), ("ctas", "num_ctas"), ("registers", "maxnreg")];

impl KernelSpec {
    /// Reads what stands behind `kernel=`.
    ///
    /// # Errors
    /// [`KernelError`] with the part that is wrong.
    pub fn parse(text: &str, line: usize) -> Result<Self, KernelError> {
        let form = || KernelError::Form { text: text.to_owned() };
        let (name, rest) = text.split_once('(').ok_or_else(form)?;
        let (arguments, options) = rest.rsplit_once(')').ok_or_else(form)?;
        let name = name.trim();
        let is_name = |c: char| c.is_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(is_name) {
            return Err(form());
        }
        Ok(Self {
            name: name.to_owned(),
            arguments: split(arguments).into_iter().map(argument).collect::<Result<_, _>>()?,
            options: options.split_whitespace().map(option).collect::<Result<_, _>>()?,
            line,
        })
    }
}

/// At the commas outside of brackets and quotes: `tensordesc<fp16[128,64]>` is one argument.
fn split(arguments: &str) -> Vec<&str> {
    let (mut depth, mut quoted) = (0, false);
    let parts = arguments.split(|c: char| {
        quoted ^= c == '"';
        depth += i32::from(matches!(c, '<' | '[')) - i32::from(matches!(c, '>' | ']'));
        c == ',' && depth == 0 && !quoted
    });
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

fn argument(text: &str) -> Result<Argument, KernelError> {
    let constant = match text {
        "None" => Some(Value::Null),
        "True" => Some(Value::Bool(true)),
        "False" => Some(Value::Bool(false)),
        // Numbers and strings look as in JSON.
        _ => serde_json::from_str(text).ok().filter(|value: &Value| value.is_number() || value.is_string()),
    };
    if let Some(constant) = constant {
        return Ok(Argument::Constant(constant));
    }
    let (r#type, hint) = text.split_once(':').map_or((text, None), |(r#type, hint)| (r#type, Some(hint)));
    let is_type = r#type.trim_start_matches('*').starts_with(|c: char| c.is_ascii_lowercase());
    match hint {
        None | Some("16") if is_type => {
            Ok(Argument::Typed { r#type: r#type.to_owned(), divisible: hint.is_some() })
        }
        _ => Err(KernelError::Argument { text: text.to_owned() }),
    }
}

fn option(text: &str) -> Result<(String, Value), KernelError> {
    let refused = || KernelError::Option { text: text.to_owned() };
    let (key, value) = text.split_once('=').ok_or_else(refused)?;
    let (_, name) = OPTIONS.iter().find(|(known, _)| *known == key).ok_or_else(refused)?;
    let value: u32 = value.parse().map_err(|_| refused())?;
    Ok(((*name).to_owned(), value.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_types_and_constants() {
        let spec = KernelSpec::parse(
            r#"norm(*fp32:16, i32, 1e-5, 1024, "relu", None, tensordesc<fp16[128,64]>) warps=8"#,
            3,
        );
        let spec = spec.unwrap();
        let typed = |r#type: &str, divisible| Argument::Typed { r#type: r#type.into(), divisible };
        let constant = |value: Value| Argument::Constant(value);
        assert_eq!(spec.name, "norm");
        assert_eq!(
            spec.arguments,
            [
                typed("*fp32", true),
                typed("i32", false),
                constant(1e-5.into()),
                constant(1024.into()),
                constant("relu".into()),
                constant(Value::Null),
                typed("tensordesc<fp16[128,64]>", false),
            ]
        );
        assert_eq!(spec.options["num_warps"], 8);
    }

    #[test]
    fn what_is_wrong_is_named() {
        let refused = |text: &str| KernelSpec::parse(text, 1).unwrap_err();
        assert_eq!(refused("add"), KernelError::Form { text: "add".into() });
        assert_eq!(refused("add(*fp32:8)"), KernelError::Argument { text: "*fp32:8".into() });
        assert_eq!(refused("add(i32) wraps=4"), KernelError::Option { text: "wraps=4".into() });
        assert_eq!(refused("add(i32) warps=x"), KernelError::Option { text: "warps=x".into() });
    }
}
