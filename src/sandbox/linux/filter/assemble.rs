//! From blocks of tests to classic BPF.
//!
//! Jumps only lead forward, so a program is put together from its end: every place is known before something leads to it.
//! Each action is one instruction that all tests nearby share, which keeps programs short: the kernel checks, translates and
//! simulates every instruction when the filter is installed.

use crate::os::linux::seccomp::Instruction;

// linux/bpf_common.h
pub(super) const LD_W_ABS: u16 = 0x20;
pub(super) const JMP_JA: u16 = 0x05;
pub(super) const JMP_JEQ_K: u16 = 0x15;
pub(super) const JMP_JGE_K: u16 = 0x35;
pub(super) const JMP_JSET_K: u16 = 0x45;
pub(super) const ALU_AND_K: u16 = 0x54;
pub(super) const RET_K: u16 = 0x06;

/// Longest way of a test, with room for what may still come between.
const REACH: usize = 250;

/// Steps in order, ended by an action where none of them ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    steps: Vec<Step>,
    last: u32,
}

/// One step of a block. The accumulator holds what was loaded last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Loads the word at this offset of `struct seccomp_data`.
    Load(u32),
    /// Keeps these bits.
    And(u32),
    /// Ends with the action for an equal accumulator.
    Equal(u32, u32),
    /// Ends with the action for any other accumulator.
    Unless(u32, u32),
    /// Ends with the action when any of the bits is set.
    AnyBit(u32, u32),
    /// Ends with the action when none of the bits is set.
    NoBit(u32, u32),
    /// Goes into the block for an equal accumulator.
    Branch(u32, Block),
}

impl Block {
    /// A block without a step.
    pub(super) const fn new(last: u32) -> Self {
        Self { steps: Vec::new(), last }
    }

    /// A block with steps.
    pub(super) fn of(steps: impl Into<Vec<Step>>, last: u32) -> Self {
        Self { steps: steps.into(), last }
    }
}

/// Comparisons of the accumulator with a constant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// Equal.
    Equal,
    /// At least.
    AtLeast,
    /// At least one common bit.
    AnyBit,
}

impl Test {
    const fn code(self) -> u16 {
        match self {
            Self::Equal => JMP_JEQ_K,
            Self::AtLeast => JMP_JGE_K,
            Self::AnyBit => JMP_JSET_K,
        }
    }
}

/// A place in the program: how many instructions come after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label(usize);

/// A program that grows towards its beginning.
#[derive(Debug, Default)]
pub(super) struct Assembler<'b> {
    /// The last instruction first.
    reversed: Vec<Instruction>,
    /// Where each action was put last.
    actions: Vec<(u32, Label)>,
    /// Where blocks with steps were put last.
    blocks: Vec<(&'b Block, Label)>,
}

impl<'b> Assembler<'b> {
    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len() - 1)
    }

    /// Instructions between the next one to be put down and this place.
    fn distance(&self, to: Label) -> usize {
        self.reversed.len() - 1 - to.0
    }

    /// A place nearby that leads there.
    fn near(&mut self, to: Label) -> Label {
        match self.distance(to) {
            0..REACH => to,
            distance => self.jump(distance),
        }
    }

    fn jump(&mut self, distance: usize) -> Label {
        self.push(JMP_JA, 0, 0, u32::try_from(distance).expect("a filter has at most 4096 instructions"))
    }

    /// Ends with an action.
    pub(super) fn ret(&mut self, action: u32) -> Label {
        match self.actions.iter().position(|(known, _)| *known == action) {
            Some(at) if self.distance(self.actions[at].1) < REACH => self.actions[at].1,
            Some(at) => {
                self.actions[at].1 = self.push(RET_K, 0, 0, action);
                self.actions[at].1
            }
            None => {
                let label = self.push(RET_K, 0, 0, action);
                self.actions.push((action, label));
                label
            }
        }
    }

    /// Loads a word and goes on.
    pub(super) fn load(&mut self, offset: u32, then: Label) -> Label {
        self.before(then);
        self.push(LD_W_ABS, 0, 0, offset)
    }

    fn and(&mut self, mask: u32, then: Label) -> Label {
        self.before(then);
        self.push(ALU_AND_K, 0, 0, mask)
    }

    /// What is put down next goes on there.
    fn before(&mut self, then: Label) {
        let distance = self.distance(then);
        if distance > 0 {
            self.jump(distance);
        }
    }

    /// Goes one of two ways.
    pub(super) fn test(&mut self, test: Test, k: u32, holds: Label, fails: Label) -> Label {
        let holds = self.near(holds);
        let fails = self.near(fails);
        let way = |distance: usize| u8::try_from(distance).expect("near enough");
        self.push(test.code(), way(self.distance(holds)), way(self.distance(fails)), k)
    }

    /// Goes through a block; one that is nearby already serves again.
    pub(super) fn block(&mut self, block: &'b Block) -> Label {
        if block.steps.is_empty() {
            return self.ret(block.last);
        }
        let known = self.blocks.iter().find(|(known, label)| self.distance(*label) < REACH && *known == block);
        if let Some((_, label)) = known {
            return *label;
        }
        let mut next = self.ret(block.last);
        for step in block.steps.iter().rev() {
            next = match step {
                Step::Load(offset) => self.load(*offset, next),
                Step::And(mask) => self.and(*mask, next),
                Step::Equal(value, action) => {
                    let end = self.ret(*action);
                    self.test(Test::Equal, *value, end, next)
                }
                Step::Unless(value, action) => {
                    let end = self.ret(*action);
                    self.test(Test::Equal, *value, next, end)
                }
                Step::AnyBit(mask, action) => {
                    let end = self.ret(*action);
                    self.test(Test::AnyBit, *mask, end, next)
                }
                Step::NoBit(mask, action) => {
                    let end = self.ret(*action);
                    self.test(Test::AnyBit, *mask, next, end)
                }
                Step::Branch(value, inner) => {
                    let inner = self.block(inner);
                    self.test(Test::Equal, *value, inner, next)
                }
            };
        }
        self.blocks.push((block, next));
        next
    }

    /// The program that begins there.
    pub(super) fn finish(mut self, entry: Label) -> Vec<Instruction> {
        self.before(entry);
        self.reversed.reverse();
        self.reversed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_out_of_reach_are_led_to_by_a_jump() {
        let mut code = Assembler::default();
        let far = code.ret(1);
        let mut next = code.ret(2);
        for value in 0..600 {
            let end = code.ret(3);
            next = code.test(Test::Equal, value, end, next);
        }
        let entry = code.test(Test::AtLeast, 7, far, next);
        let program = code.finish(entry);
        let jump = program.iter().position(|i| i.code == JMP_JA).unwrap();
        assert!(program.len() > 600, "{}", program.len());
        assert_eq!(program[0].code, JMP_JGE_K);
        assert_eq!(usize::from(program[0].jt) + 1, jump, "the test leads to the jump");
        let target = jump + 1 + program[jump].k as usize;
        assert_eq!((program[target].code, program[target].k), (RET_K, 1));
    }

    #[test]
    fn equal_blocks_and_actions_are_there_once() {
        let block = Block::of([Step::Load(16), Step::Unless(0, 5)], 6);
        let mut code = Assembler::default();
        let first = code.block(&block);
        assert_eq!(code.block(&block), first);
        assert_eq!(code.finish(first).len(), 4);
    }
}
