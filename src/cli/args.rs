//! The argument tree. Each command's own arguments stand in its file.

use std::ffi::OsString;

use clap::{Parser, Subcommand};

/// Does this sandbox policy really allow and deny what we think? Run it, keep the evidence, gate on it.
#[derive(Debug, Parser)]
#[command(
    name = "runtime",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  runtime status --format table
  runtime run --plan plans/linux-baseline/plan.json --channel direct --out out
  runtime emit-promotion --bundle out --out packet.json --require linux_enforcement

Exit status: 0 done or yes, 1 the answer is no, 2 usage, 3 could not answer."
)]
pub(crate) struct Cli {
    /// Print one JSON document instead of text (errors too)
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub command: Command,
}

/// The arguments of a command are built when that command was named: building all would be a third of a short command's time.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Command {
    /// Run a plan under its policies and commit a bundle
    Run(Box<super::run::Args>),
    /// Print what this host offers: world, channels, enforcement layers
    Status(super::status::Args),
    /// Check a bundle: commit barrier, digests, sizes, identities
    ValidateBundle(super::validate_bundle::Args),
    /// Rebuild the index of a bundle whose files changed
    ReindexBundle(super::reindex_bundle::Args),
    /// List, show, remove and check bundles
    #[command(subcommand)]
    Bundle(super::bundle::Command),
    /// Derive a promotion packet from a bundle
    EmitPromotion(super::emit_promotion::Args),
    /// Verify promotion packets, and collect them into sets
    #[command(subcommand)]
    Promotion(super::promotion::Command),
    /// Summarise a bundle's events by operation
    SummarizeOps(super::summarize_ops::Args),
    /// Make the events of a stored bundle again, from rows of any version
    NormaliseEvents(super::normalise_events::Args),
    /// Tell one event: what was asked, what happened, which rule decided, how sure that is
    ExplainEvent(super::explain_event::Args),
    /// Build a suite from a template
    PlanBuild(super::plan_build::Args),
    /// Check a plan with its registry and profiles
    PlanLint(super::plan_lint::Args),
    /// Check probe and profile registries
    RegistryLint(super::registry_lint::Args),
    /// Bring a registry to the current form
    RegistryUpgrade(super::registry_upgrade::Args),
    /// List plans
    ListPlans(super::list::PlansArgs),
    /// List templates of plans
    ListTemplates(super::list_templates::Args),
    /// List registries of the index
    ListRegistries(super::list::RegistriesArgs),
    /// List the probes of a registry
    ListProbes(super::list::EntriesArgs),
    /// List the profiles of a registry
    ListProfiles(super::list::EntriesArgs),
    /// Print a plan with its digest
    DescribePlan(super::describe::PlanArgs),
    /// Print one probe of a registry
    DescribeProbe(super::describe::ProbeArgs),
    /// Print one profile of a registry
    DescribeProfile(super::describe::ProfileArgs),
    /// Look into a document of runtime links
    #[command(subcommand)]
    Links(super::links::Command),
    /// Find out where a source tree deals with sandboxes
    #[command(subcommand)]
    Inventory(super::inventory::Command),
    /// Run any command under a profile
    #[command(subcommand)]
    Sandbox(Sandbox),
    /// Read, check and explain SBPL profiles
    #[command(subcommand)]
    Sbpl(super::sbpl::Command),
    /// Learn a profile from a run of a program, and take out what the program can do without
    #[command(subcommand)]
    ShrinkTrace(super::shrink_trace::Command),
    /// Drive EntitlementJail.app, keep its evidence, hold it to its contract
    #[command(subcommand)]
    EntitlementJail(super::entitlement_jail::Command),
    /// List, show and apply the JSON Schemas of all documents
    #[command(subcommand)]
    Schema(super::schema::Command),
    /// Try every assumption about this host on it, into a small bundle
    Selftest(super::selftest::Args),
    /// Ask sandbox_check about this process
    #[command(name = "__ask", hide = true)]
    Ask(super::selftest::AskArgs),
    /// Perform one job handed over on a private descriptor
    #[command(name = crate::lane::WORKER_COMMAND, hide = true)]
    Worker,
    /// Be the job of the clean channel that a document describes
    #[command(name = "__launchd-job", hide = true)]
    LaunchdJob(super::launchd_job::Args),
    /// Run a program once, as handed over on a private descriptor
    #[command(name = "__target", hide = true)]
    Target,
}

#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Sandbox {
    /// Run a command under a profile enforced by the kernel
    Run(super::sandbox_run::Args),
}

impl Cli {
    /// Reads a command line.
    ///
    /// # Errors
    /// What clap says, help and version included.
    pub(crate) fn read(args: &[OsString]) -> Result<Self, clap::Error> {
        match args {
            [_, word] if word == crate::lane::WORKER_COMMAND => {
                return Ok(Self { json: false, command: Command::Worker });
            }
            // It starts once for every command run under a profile, and building the list of all commands takes longer than all
            // else it does before it reads the profile. Whatever is unusual or wrong is left to the whole.
            [_, first, second, rest @ ..] if first == "sandbox" && second == "run" => {
                if let Some((args, json)) = super::sandbox_run::Args::plain(rest) {
                    return Ok(Self { json, command: Command::Sandbox(Sandbox::Run(args)) });
                }
            }
            _ => {}
        }
        Self::try_parse_from(args)
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;
    use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

    use super::*;

    /// Columns that help is laid out for here.
    const WIDTH: usize = 100;

    /// A deferred command takes the documentation of its argument struct for its own; such a struct has none.
    fn check(command: &clap::Command, path: &str, seen: &mut usize) {
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            let path = format!("{path} {}", inner.get_name());
            let whole = Cli::command().term_width(WIDTH);
            let help = whole.try_get_matches_from(path.split(' ').chain(["--help"])).unwrap_err().to_string();
            let after_options = help.split_once("Print version\n").map_or("", |(_, after)| after);
            for (line, next) in after_options.lines().zip(after_options.lines().skip(1)) {
                let word = next.split(' ').next().unwrap_or_default();
                let of_a_paragraph =
                    !word.is_empty() && !line.is_empty() && !line.starts_with(' ') && !line.ends_with(':');
                assert!(
                    !of_a_paragraph || line.chars().count() + 1 + word.chars().count() > WIDTH,
                    "{path} --help breaks a line in the middle of a paragraph:\n{line}\n{next}"
                );
            }
            let about = inner.get_about().unwrap_or_else(|| panic!("{path} says nothing")).to_string();
            let count = about.split_whitespace().count().min(4);
            let words = |text: &str| text.split_whitespace().take(count).collect::<Vec<_>>().join(" ");
            assert_eq!(words(&help), words(&about), "{path} --help begins with something else than the list says");
            *seen += 1;
            let mut whole = inner.clone();
            whole.build();
            check(&whole, &path, seen);
        }
    }

    #[test]
    fn the_quick_way_reads_what_the_whole_reads() {
        for line in [
            "runtime __worker",
            "runtime sandbox run --profile p -- true",
            "runtime sandbox run --profile p --json -D A=b -D C=d --overlay o --denials d --observe true --json --profile q",
            "runtime sandbox run --json --profile p --report=r true -- x",
            "runtime sandbox run --json --profile p --report r true -- x",
            "runtime sandbox run --profile p --observe --overlay a --overlay b -- -x --",
            "runtime sandbox run --profile p --import-dir d --log-seconds 3 - x",
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (quick, whole) = (Cli::read(&args).unwrap(), Cli::try_parse_from(&args).unwrap());
            assert_eq!(format!("{quick:?}"), format!("{whole:?}"), "{line}");
        }
        for line in [
            "runtime sandbox run",
            "runtime sandbox run --help",
            "runtime sandbox run --profile p --no-such x",
            "runtime sandbox run --profile p -D K x",
            "runtime sandbox run --profile p --profile p x",
            "runtime sandbox run --profile p --observe --observe x",
            "runtime sandbox run --denials --profile p x",
            "runtime sandbox run --profile p --",
            "runtime sandbox run -- x",
            "runtime sandbox run x --profile p",
            "runtime __worker x",
        ] {
            let args: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let (quick, whole) = (Cli::read(&args).unwrap_err(), Cli::try_parse_from(&args).unwrap_err());
            assert_eq!(quick.to_string(), whole.to_string(), "{line}");
        }
    }

    #[test]
    fn whatever_the_quick_way_reads_the_whole_reads_alike() {
        const PARTS: [&[&str]; 15] = [
            &["--profile", "p"],
            &["--profile", "p"],
            &["--profile", "p"],
            &["--profile"],
            &["-D", "K=V"],
            &["-D", "K"],
            &["--overlay", "o"],
            &["--report", "r"],
            &["--denials", "-"],
            &["--observe"],
            &["--json"],
            &["--"],
            &["x"],
            &["-x"],
            &[""],
        ];
        let words = proptest::collection::vec(proptest::sample::select(&PARTS[..]), 0..9);
        let read = std::cell::Cell::new(0);
        let mut runner =
            TestRunner::new_with_rng(Config::with_cases(4_000), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        let alike = runner.run(&words, |words| {
            let rest: Vec<OsString> = words.concat().into_iter().map(OsString::from).collect();
            if let Some((args, json)) = super::super::sandbox_run::Args::plain(&rest) {
                read.set(read.get() + 1);
                let line = ["runtime", "sandbox", "run"].into_iter().map(OsString::from).chain(rest);
                let whole = Cli::try_parse_from(line).expect("the whole reads it too");
                let quick = Cli { json, command: Command::Sandbox(Sandbox::Run(args)) };
                assert_eq!(format!("{quick:?}"), format!("{whole:?}"));
            }
            Ok(())
        });
        alike.unwrap();
        assert!(read.get() > 100, "{} lines", read.get());
    }

    #[test]
    fn help_begins_with_what_a_command_does() {
        let mut seen = 0;
        check(&Cli::command(), "runtime", &mut seen);
        assert!(seen > 30, "{seen} commands");
    }
}
