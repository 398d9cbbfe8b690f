//! The innermost loops of a function's machine code.
//!
//! LLVM's comments say which IR block each machine block was made of, because `codegen::name_blocks` has named them,
//! and which loop it lies in. Nothing here depends on line numbers: two blocks of one source line stay two.

/// An innermost loop.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loop {
    /// Function around it.
    pub function: String,
    /// Its blocks in the order of the code, the head among them.
    pub blocks: Vec<Block>,
    /// Index of the head, where every iteration begins.
    pub head: usize,
}

/// A machine block.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Block {
    /// IR block it was made of; empty if code generation made it up.
    pub ir: String,
    /// Its instructions in AT&T syntax.
    pub instructions: Vec<String>,
    label: String,
    comments: String,
}

/// The innermost loops of x86-64 AT&T assembly as LLVM writes it, comments included.
pub fn innermost_loops(assembly: &str) -> Vec<Loop> {
    functions(assembly).into_iter().flat_map(|(name, blocks)| loops_of(&name, &blocks)).collect()
}

fn functions(assembly: &str) -> Vec<(String, Vec<Block>)> {
    let mut functions: Vec<(String, Vec<Block>)> = Vec::new();
    for line in assembly.lines() {
        let (code, comment) = line.split_once('#').unwrap_or((line, ""));
        if let Some(name) = function_name(code, comment) {
            functions.push((name, vec![Block::default()]));
            continue;
        }
        let Some((_, blocks)) = functions.last_mut() else { continue };
        if let Some(label) = block_label(code, comment) {
            blocks.push(Block { ir: ir_name(comment), label, ..Block::default() });
        }
        let Some(block) = blocks.last_mut() else { continue };
        if let Some(instruction) = instruction(code) {
            block.instructions.push(instruction.to_owned());
        } else if block.instructions.is_empty() {
            block.comments += comment;
            block.comments.push('\n');
        }
    }
    functions
}

/// `softmax:   # @softmax` begins a function.
fn function_name(code: &str, comment: &str) -> Option<String> {
    let begins = !code.starts_with(['\t', ' ', '.']) && code.trim_end().ends_with(':');
    let name = comment.trim().strip_prefix('@')?;
    begins.then(|| name.trim_matches('"').to_owned())
}

/// `.LBB0_9:` and `# %bb.9:` both begin block 9; the first kind of label is `BB0_9` in comments. The second kind
/// is only fallen into and so heads no loop.
fn block_label(code: &str, comment: &str) -> Option<String> {
    if let Some(label) = code.trim_end().strip_suffix(':').and_then(|code| code.strip_prefix(".LBB")) {
        return Some(format!("BB{label}"));
    }
    (code.is_empty() && comment.starts_with(" %bb.")).then(String::new)
}

/// `%bb.3:      # %bb7` and `%bb7` → `bb7`.
fn ir_name(comment: &str) -> String {
    let last = comment.rsplit('#').next().unwrap_or_default().trim();
    let name = last.strip_prefix('%').filter(|name| !name.starts_with("bb."));
    name.and_then(|name| name.split_whitespace().next()).unwrap_or_default().to_owned()
}

fn instruction(code: &str) -> Option<&str> {
    let text = code.strip_prefix('\t')?.trim_end();
    (!text.is_empty() && !text.starts_with('.')).then_some(text)
}

fn loops_of(function: &str, blocks: &[Block]) -> Vec<Loop> {
    let heads = blocks.iter().filter(|block| block.comments.contains("Inner Loop Header:"));
    let one = |head: &Block| {
        let mark = format!("Header={} ", head.label);
        let within = |block: &&Block| block.label == head.label || block.comments.contains(&mark);
        let blocks: Vec<Block> = blocks.iter().filter(within).cloned().collect();
        let head = blocks.iter().position(|block| block.label == head.label)?;
        Some(Loop { function: function.to_owned(), blocks, head })
    };
    heads.filter_map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
\t.text
sum:                                    # @sum
\t.cfi_startproc
# %bb.0:                                # %bb0
\ttestq\t%rsi, %rsi
\tjle\t.LBB0_4
.LBB0_1:                                # %bb1
                                        # =>This Loop Header: Depth=1
                                        #     Child Loop BB0_2 Depth 2
\txorl\t%ecx, %ecx
\t.p2align\t4
.LBB0_2:                                # %bb2
                                        #   Parent Loop BB0_1 Depth=1
                                        # =>  This Inner Loop Header: Depth=2
\t.loc\t1 3 5                           # k.mlir:3:5
\tvaddss\t(%rdi,%rcx,4), %xmm0, %xmm0   # a comment
\tja\t.LBB0_2
# %bb.3:                                # %bb3
                                        #   in Loop: Header=BB0_2 Depth=2
\tincq\t%rcx
\tjne\t.LBB0_2
.LBB0_4:                                # %bb4
\tretq
.Lfunc_end0:
";

    #[test]
    fn the_blocks_of_an_inner_loop_are_found_with_their_ir_names() {
        let loops = innermost_loops(TEXT);
        assert_eq!(loops.len(), 1, "{loops:?}");
        let found = &loops[0];
        assert_eq!((found.function.as_str(), found.head), ("sum", 0));
        let names: Vec<_> = found.blocks.iter().map(|block| block.ir.as_str()).collect();
        assert_eq!(names, ["bb2", "bb3"]);
        assert_eq!(found.blocks[0].instructions, ["vaddss\t(%rdi,%rcx,4), %xmm0, %xmm0", "ja\t.LBB0_2"]);
    }

    #[test]
    fn a_block_that_code_generation_made_up_has_no_ir_name() {
        assert_eq!(ir_name(" %bb.3:"), "");
        assert_eq!(ir_name(" %bb.3:                                # %bb7"), "bb7");
        assert_eq!(ir_name(" =>This Inner Loop Header: Depth=1"), "");
        assert_eq!(innermost_loops("no assembly at all"), []);
    }
}
