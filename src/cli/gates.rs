//! Gates as arguments, and as they are printed.

use crate::promotion::GateName;

// Which gates must be open.
#[derive(Debug, clap::Args)]
pub(crate) struct GateArgs {
    /// Say no unless the bundle is promotable as decision-stage evidence
    #[arg(long)]
    require_promotable: bool,
    /// Say no unless this gate is open (repeatable)
    #[arg(long, value_enum, value_name = "GATE")]
    require: Vec<GateWord>,
}

/// A gate as spelled on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum GateWord {
    /// Evidence of decisions made by the macOS kernel on the clean channel
    DecisionStage,
    /// Evidence of decisions enforced by the Linux kernel with every layer present
    LinuxEnforcement,
}

impl From<GateWord> for GateName {
    fn from(word: GateWord) -> Self {
        match word {
            GateWord::DecisionStage => Self::DecisionStage,
            GateWord::LinuxEnforcement => Self::LinuxEnforcement,
        }
    }
}

impl GateArgs {
    /// The gates asked for, each once.
    pub(crate) fn required(&self) -> Vec<GateName> {
        let asked = self.require.iter().copied().map(GateName::from);
        let mut required: Vec<GateName> = Vec::new();
        for gate in self.require_promotable.then_some(GateName::DecisionStage).into_iter().chain(asked) {
            if !required.contains(&gate) {
                required.push(gate);
            }
        }
        required
    }
}

/// The words of gates.
pub(crate) fn words(gates: &[GateName]) -> Vec<&'static str> {
    gates.iter().map(|gate| gate.word()).collect()
}

/// The words as the earlier tool prints them: a list in single quotes.
pub(crate) fn listed(reasons: &[&str]) -> String {
    let quoted: Vec<String> = reasons.iter().map(|word| format!("'{word}'")).collect();
    format!("[{}]", quoted.join(", "))
}
