//! The innermost loops of assembly: what their code is made of, by source line.
//!
//! LLVM's comments say where a loop's header is; its code is all up to the last jump back there.

use kinstr_trace::{sites::Place, synthesis::LoopCode};
use std::collections::{BTreeMap, BTreeSet};

/// An innermost loop.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct InnermostLoop {
    /// Its first line of source that is known, its column left out.
    pub place: Option<Place>,
    /// Its code.
    pub code: LoopCode,
}

/// The innermost loops of x86-64 AT&T assembly as LLVM writes it, comments included, in order.
pub fn innermost(assembly: &str) -> Vec<InnermostLoop> {
    let lines: Vec<Line<'_>> = assembly.lines().map(Line::of).collect();
    let files = files(&lines);
    let headers = lines.iter().enumerate().filter_map(|(index, line)| {
        // The label stands on the comment's line or on one shortly before it.
        let of_header = line.comment.contains("Inner Loop Header");
        of_header.then(|| (0..=index).rev().find_map(|at| Some((at, lines[at].label()?))))?
    });
    headers
        .filter_map(|(begin, label)| {
            let jumps_back = |line: &Line<'_>| line.jump() == Some(label);
            let end = begin + lines[begin..].iter().rposition(jumps_back)?;
            Some(loop_of(&lines[begin..=end], &files))
        })
        .collect()
}

fn loop_of(lines: &[Line<'_>], files: &BTreeMap<&str, String>) -> InnermostLoop {
    let mut code = LoopCode::default();
    let (mut general, mut vector) = (BTreeSet::new(), BTreeSet::new());
    for line in lines {
        let Some((mnemonic, operands)) = line.instruction() else { continue };
        code.instructions += 1;
        for register in registers(operands) {
            match Register::of(register) {
                Some(Register::Vector { number, bits }) => {
                    vector.insert(number);
                    let bits = if bits == 128 && is_scalar(mnemonic) { 0 } else { bits };
                    code.vector_bits = code.vector_bits.max(bits);
                }
                Some(Register::General(name)) => {
                    general.insert(name);
                }
                None => {}
            }
        }
    }
    code.general_registers = general.len() as u32;
    code.vector_registers = vector.len() as u32;
    let place = lines.iter().find_map(|line| line.place(files));
    InnermostLoop { place, code }
}

/// One line, split from its comment.
struct Line<'a> {
    code: &'a str,
    comment: &'a str,
}

impl<'a> Line<'a> {
    fn of(text: &'a str) -> Self {
        let (code, comment) = text.split_once('#').unwrap_or((text, ""));
        Self { code: code.trim_end(), comment }
    }

    /// `.LBB0_3:` → `.LBB0_3`.
    fn label(&self) -> Option<&'a str> {
        self.code.strip_suffix(':').filter(|label| label.starts_with(".LBB"))
    }

    /// Mnemonic and operands; directives and labels are no instructions.
    fn instruction(&self) -> Option<(&'a str, &'a str)> {
        let code = self.code.strip_prefix('\t').filter(|code| !code.is_empty() && !code.starts_with('.'))?;
        Some(code.split_once('\t').unwrap_or((code, "")))
    }

    /// Where a jump goes.
    fn jump(&self) -> Option<&'a str> {
        self.instruction().filter(|(mnemonic, _)| mnemonic.starts_with('j')).map(|(_, target)| target.trim())
    }

    /// `.loc FILE LINE …`, line 0 meaning nowhere.
    fn place(&self, files: &BTreeMap<&str, String>) -> Option<Place> {
        let mut fields = self.code.trim_start().strip_prefix(".loc\t")?.split_whitespace();
        let file = files.get(fields.next()?)?.clone();
        let line = fields.next()?.parse().ok().filter(|line| *line > 0)?;
        Some(Place { file, line, column: 0 })
    }
}

/// `.file 1 "folder" "name"` → name by number.
fn files<'a>(lines: &[Line<'a>]) -> BTreeMap<&'a str, String> {
    let entry = |line: &Line<'a>| {
        let (number, names) = line.code.trim_start().strip_prefix(".file\t")?.split_once(' ')?;
        let name = names.split('"').filter(|part| !part.trim().is_empty()).take(2).last()?;
        number.parse::<u32>().is_ok().then(|| (number, name.to_owned()))
    };
    lines.iter().filter_map(entry).collect()
}

/// Names after `%`.
fn registers(operands: &str) -> impl Iterator<Item = &str> {
    let end = |rest: &str| rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    operands.split('%').skip(1).map(move |rest| &rest[..end(rest)])
}

enum Register<'a> {
    /// By the name that all its widths share.
    General(&'a str),
    Vector {
        number: &'a str,
        bits: u32,
    },
}

impl<'a> Register<'a> {
    fn of(name: &'a str) -> Option<Self> {
        for (prefix, bits) in [("zmm", 512), ("ymm", 256), ("xmm", 128)] {
            if let Some(number) = name.strip_prefix(prefix) {
                return Some(Self::Vector { number, bits });
            }
        }
        if let Some(rest) =
            name.strip_prefix('r').filter(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        {
            return Some(Self::General(rest.trim_end_matches(['d', 'w', 'b'])));
        }
        // rax, eax, ax, al and ah are one; so are rsi, esi, si and sil.
        let core = name.strip_prefix(['r', 'e']).unwrap_or(name);
        let families = [("a", "ax"), ("b", "bx"), ("c", "cx"), ("d", "dx")];
        let family = |(letter, full): &(&'static str, &'static str)| {
            core == *full || core == format!("{letter}l") || core == format!("{letter}h")
        };
        if let Some((_, full)) = families.iter().find(|names| family(names)) {
            return Some(Self::General(full));
        }
        ["si", "di", "bp", "sp"]
            .into_iter()
            .find(|full| core == *full || core.strip_suffix('l') == Some(full))
            .map(Self::General)
    }
}

/// True for instructions that use one lane of a vector register.
fn is_scalar(mnemonic: &str) -> bool {
    let moves = ["vmovd", "vmovq", "movd", "movq"];
    // vpminsd, vpabsd and their like end in the same letters and are packed.
    let packed = mnemonic.starts_with("vp") || mnemonic.starts_with('p');
    let one_lane = mnemonic.ends_with("ss") || mnemonic.ends_with("sd") || mnemonic.contains("si2s");
    moves.contains(&mnemonic) || (one_lane && !packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\t.file\t0 \".\" \"k.c\" md5 0x1
f:
\t.loc\t0 3 1
\txorl\t%eax, %eax
.LBB0_1:                                # =>This Inner Loop Header: Depth=1
\t.loc\t0 0 5
\t.loc\t0 4 7                           # k.c:4:7
\tvmovups\t(%rdi,%rax,4), %ymm0
\tvaddps\t%ymm0, %ymm1, %ymm0
\tvmovss\t%xmm2, (%r8d)
\taddq\t$8, %rax
\tcmpq\t%rax, %rsi
\tjne\t.LBB0_1
\tretq
";

    #[test]
    fn a_loop_has_its_line_width_and_registers() {
        let found = innermost(TEXT);
        let place = Some(Place { file: "k.c".into(), line: 4, column: 0 });
        let code = LoopCode { instructions: 6, vector_bits: 256, general_registers: 4, vector_registers: 3 };
        assert_eq!(found, [InnermostLoop { place, code }]);
        let scalar = innermost(
            &TEXT
                .replace("vaddps\t%ymm0, %ymm1, %ymm0", "vaddss\t%xmm0, %xmm1, %xmm0")
                .replace("vmovups\t(%rdi,%rax,4), %ymm0", "vmovss\t(%rdi,%rax,4), %xmm0"),
        );
        assert_eq!(scalar[0].code.vector_bits, 0);
    }

    #[test]
    fn all_widths_of_a_register_are_one() {
        let names = ["rax", "eax", "al", "r10", "r10d", "sil", "rsi"];
        let families: BTreeSet<_> = names
            .iter()
            .filter_map(|name| match Register::of(name)? {
                Register::General(family) => Some(family),
                Register::Vector { .. } => None,
            })
            .collect();
        assert_eq!(families.into_iter().collect::<Vec<_>>(), ["10", "ax", "si"]);
        assert!(Register::of("k1").is_none() && Register::of("rip").is_none());
    }
}
