//! What is wrong with the part of its registry that a plan uses: profiles, their texts, their probes.

use foldhash::{HashSet, HashSetExt as _};
use rayon::prelude::*;
use serde_json::Value;

use super::compile::Filters;
use super::document::Plan;
use super::fixtures::Legible;
use super::lint::{PlanReport, usable_ids};
use super::target::{self, Ground};
use crate::base::position::escape;
use crate::fixture::{FixtureKind, FixtureSet, PortKind};
use crate::registry::check::{CONTROLS, Sink};
use crate::registry::{self, Probe, Profile, ProfileMode, Reading};
use crate::sbpl::Params;
use crate::vocab::driver::driver_asked_for;
use crate::vocab::{Asked, Finding, Lane, Platform, Severity, world_platform, worlds_agree};

/// From this many profiles on their texts are compiled on all processors.
const MANY: usize = 16;

/// The capabilities a probe may ask for.
const CAPABILITIES: &[&str] = &[LOOPBACK_LISTENER];

/// Somebody listens on a port that the probe can connect to.
const LOOPBACK_LISTENER: &str = "loopback_listener";

/// The probe driver that applies the policy in its own process, as Mach look-ups under a deny-default policy need.
const MACH_DRIVER: &str = "sandbox_mach_probe";

/// A plan together with the part of its registry that it uses.
pub(super) struct Use<'a> {
    plan: &'a Plan,
    reading: &'a Reading,
    plan_file: String,
    probes_file: String,
    profiles_file: String,
    /// The platform of the plan's world, where the world says so.
    platform: Option<Platform>,
    /// The fixture set, when there is nothing wrong with it.
    fixtures: Option<&'a FixtureSet>,
    ground: Ground<'a>,
}

impl<'a> Use<'a> {
    pub(super) fn new(plan: &'a Plan, reading: &'a Reading, fixtures: Option<&'a Legible>) -> Self {
        Self {
            plan,
            reading,
            plan_file: plan.place().to_string(),
            probes_file: reading.registry.documents[0].place.to_string(),
            profiles_file: reading.registry.documents[1].place.to_string(),
            platform: plan.world_id.as_deref().and_then(world_platform),
            fixtures: fixtures.and_then(Legible::sound),
            // A set that is named and cannot be read is a finding already.
            ground: Ground::new(fixtures, plan.document.value().get("fixtures").is_some_and(|path| !path.is_null())),
        }
    }

    /// What the plan's runs give to profiles; `None` when that is not known.
    fn parameters(&self) -> Option<Params> {
        match self.fixtures {
            Some(set) => Some(set.sample_parameters()),
            None if self.plan.fixtures.is_some() => None,
            None => Some(FixtureSet::empty().sample_parameters()),
        }
    }

    /// Everything that is wrong with it.
    pub(super) fn lint(&self, filters: &Filters, report: &mut PlanReport) {
        let registry = &self.reading.registry;
        let mut sink = Sink::new(&self.plan_file);
        if let Some(world) = self.plan.world_id.as_deref().filter(|world| !worlds_agree(world, &registry.world_id)) {
            let message =
                format!("world_id is {world:?}, but registry {:?} is bound to {:?}", registry.id, registry.world_id);
            sink.error("world-mismatch", "/world_id", message);
        }
        let mut used = Vec::new();
        let mut seen = HashSet::new();
        for (number, id) in usable_ids(self.plan) {
            if !registry.has_profile(id) {
                let message = format!("registry {:?} has no profile {id:?}", registry.id);
                sink.error("unknown-profile", &format!("/profiles/{number}"), message);
            } else if seen.insert(id) {
                used.push(id);
            }
        }
        self.check_filters(filters, &used, &mut sink);
        report.findings.extend(sink.into_findings());
        report.findings.extend(self.reading.findings.iter().cloned());
        let parameters = self.parameters();
        let mut probes = HashSet::with_capacity(registry.probes.len());
        // Texts are compiled without regard to each other; for a few of them a second thread is not worth its start.
        let lint = |id: &&str| {
            let profile = registry.profiles.get(*id)?;
            let mut own = registry::lint_profile(registry, profile, parameters.as_ref());
            // Policies are not kept: all of a large plan's would be most of the memory.
            let deny_default = own.policy.take().is_some_and(|policy| registry::is_deny_default(&policy));
            Some((profile, own, deny_default))
        };
        let linted: Vec<_> =
            if used.len() < MANY { used.iter().map(lint).collect() } else { used.par_iter().map(lint).collect() };
        for (id, linted) in used.into_iter().zip(linted) {
            report.findings.extend(self.reading.profile_findings.get(id).into_iter().flatten().cloned());
            if let Some((profile, own, deny_default)) = linted {
                report.findings.extend(own.findings);
                report.incomplete.extend(own.place.clone().filter(|_| !own.complete));
                report.files.extend(own.place);
                report.findings.extend(self.check_mode(profile));
                let mut sink = Sink::new(&self.probes_file);
                self.lint_probes(profile, deny_default, &mut probes, &mut sink);
                report.findings.extend(sink.into_findings());
            }
        }
    }

    /// A filter value that names nothing of the plan is a slip of the pen: a run refuses it.
    fn check_filters(&self, filters: &Filters, used: &[&str], sink: &mut Sink<'_>) {
        let registry = &self.reading.registry;
        for profile in filters.profiles.iter().filter(|profile| !self.plan.profiles.contains(profile)) {
            let message = format!("the plan has no profile {profile:?}, which --only-profile names");
            sink.error("filter-without-match", "/profiles", message);
        }
        let refs = used.iter().filter_map(|id| registry.profiles.get(*id)).flat_map(|profile| &profile.probe_refs);
        let known: HashSet<&str> =
            refs.filter_map(|id| registry.probes.get(id)).map(|probe| probe.expectation_id()).collect();
        for scenario in filters.scenarios.iter().filter(|scenario| !known.contains(scenario.as_str())) {
            let message =
                format!("no profile of the plan has the expectation {scenario:?}, which --only-scenario names");
            sink.error("filter-without-match", "/profiles", message);
        }
    }

    /// A compiled blob can be applied where its compiler runs, and nowhere else.
    fn check_mode(&self, profile: &Profile) -> Vec<Finding> {
        let mut sink = Sink::new(&self.profiles_file);
        if self.platform == Some(Platform::Linux) && profile.mode == ProfileMode::Blob {
            let id = &profile.profile_id;
            let message = format!("profile {id:?} is a compiled blob, which cannot be applied on Linux");
            sink.error("blob-not-applicable", &format!("/profiles/{}/mode", escape(id)), message).help =
                Some("name the SBPL text instead".to_owned());
        }
        sink.into_findings()
    }

    /// The probes of one profile. What concerns a probe alone is said once, however many profiles refer to it.
    fn lint_probes(&self, profile: &'a Profile, deny_default: bool, seen: &mut HashSet<&'a str>, sink: &mut Sink<'_>) {
        let registry = &self.reading.registry;
        for id in &profile.probe_refs {
            let first = seen.insert(id);
            if first {
                sink.extend(self.reading.probe_findings.get(id.as_str()).into_iter().flatten());
            }
            let Some(probe) = registry.probes.get(id.as_str()) else { continue };
            if first {
                registry::lint_probe(probe, sink);
                self.check_probe(probe, sink);
            }
            if deny_default
                && self.plan.lanes.scenario
                && probe.operation.as_str() == "mach-lookup"
                && probe.driver.as_deref() != Some(MACH_DRIVER)
            {
                let message = format!(
                    "probe {id:?} looks up a Mach service under the deny-default profile {:?} with the driver {:?}",
                    profile.profile_id,
                    probe.driver.as_deref().unwrap_or("(none)"),
                );
                sink.error("mach-lookup-driver", &pointer(probe, ""), message).help =
                    Some(format!("use the driver {MACH_DRIVER:?}, which applies the policy in its own process"));
            }
        }
    }

    /// What the plan asks of a probe and the probe, this program or the fixtures do not offer.
    fn check_probe(&self, probe: &Probe, sink: &mut Sink<'_>) {
        let id = &probe.probe_id;
        let support = probe.supports_lanes;
        for (lane, supported) in
            [(Lane::Scenario, support.scenario), (Lane::Baseline, support.baseline), (Lane::Oracle, support.oracle)]
        {
            if self.plan.lanes.has(lane) && !supported {
                let message = format!("the plan asks for the {lane} lane, which probe {id:?} does not support");
                sink.warning("lane-not-supported", &pointer(probe, "/supports_lanes"), message);
            }
        }
        for (control, _) in self.plan.controls.iter().filter(|(_, asked)| **asked == Value::Bool(true)) {
            let known = CONTROLS.contains(&control.as_str());
            if known && !probe.controls_supported.iter().any(|supported| supported == control) {
                let message = format!("the plan asks for the control {control:?}, which probe {id:?} does not support");
                sink.warning("control-not-supported", &pointer(probe, "/controls_supported"), message).help =
                    Some("controls are recorded and digested; a run acts on lanes alone".to_owned());
            }
        }
        let asked = Asked {
            driver: probe.driver.as_deref(),
            syscall: probe.syscall.as_deref(),
            payload: probe.attr_payload.as_deref(),
        };
        let driver = self.platform.and_then(|platform| driver_asked_for(&probe.operation, asked, platform));
        for (number, capability) in probe.capabilities_required.iter().enumerate() {
            if !CAPABILITIES.contains(&capability.as_str()) {
                let message = format!("probe {id:?} requires the unknown capability {capability:?}");
                sink.warning(
                    "unknown-capability",
                    &pointer(probe, &format!("/capabilities_required/{number}")),
                    message,
                )
                .help = Some(format!("known are {}", CAPABILITIES.join(", ")));
            } else if driver.is_some() && !self.has_listener() {
                let message = format!("probe {id:?} requires {capability}, and the plan's fixtures have none");
                sink.warning(
                    "capability-not-provided",
                    &pointer(probe, &format!("/capabilities_required/{number}")),
                    message,
                )
                .help = Some("declare a port of kind tcp_listener or an entry of kind unix_listener".to_owned());
            }
        }
        if let (Some(platform), None) = (self.platform, driver) {
            let message = format!(
                "probe {id:?} cannot perform {:?} on {platform}; its rows will be not observed",
                probe.operation.as_str()
            );
            // macOS has every known operation: that this program does not perform it there is no fault of the document.
            let lacking = platform == Platform::MacOs && probe.operation.is_known();
            let severity = if lacking { Severity::Note } else { Severity::Warning };
            sink.add("no-driver", severity, &pointer(probe, "/operation"), message);
        }
        target::check(probe, (driver, self.platform), &self.ground, sink);
    }

    /// Whether the fixtures hold somebody who listens; what is in a set that cannot be read is not known.
    fn has_listener(&self) -> bool {
        let unreadable = self.fixtures.is_none() && self.plan.fixtures.is_some();
        unreadable
            || self.fixtures.is_some_and(|set| {
                set.ports.iter().any(|port| port.kind == PortKind::TcpListener)
                    || set.entries.iter().any(|entry| entry.kind == FixtureKind::UnixListener)
            })
    }
}

fn pointer(probe: &Probe, rest: &str) -> String {
    format!("/probes/{}{rest}", escape(&probe.probe_id))
}
