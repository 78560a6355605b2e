//! Whose the port is, who has it open, and whether the agent may open it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use spoolway_protocol::Fault;

use super::report::Step;
use super::sources::{text, under};
use crate::printer::{Holder, holders};

/// The agent's user, as `systemd/spoolway-agent.service` has it.
const USER: &str = "spoolway-agent";
/// The group that the unit adds.
const UNIT_GROUP: &str = "dialout";
/// To read and to write.
const READ_WRITE: u32 = 0o6;

/// Somebody with his groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    name: String,
    uid: u32,
    gids: Vec<u32>,
}

/// A device and those who have to do with it.
#[derive(Debug, Clone)]
pub(super) struct Access {
    device: String,
    mode: u32,
    uid: u32,
    gid: u32,
    owner: String,
    group: String,
    who: Option<Who>,
    /// The agent's process, while it runs.
    agent: Option<u32>,
    holders: Vec<Holder>,
    /// Whether processes of others are seen.
    sees_all: bool,
}

/// Who may be asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Meant {
    /// The agent that runs as this process.
    Process(u32),
    /// The system's agent, which does not run.
    System,
    /// Whoever asks.
    Me,
}

/// Looks at a device; `None` when it cannot be looked at.
pub(super) fn look(root: &Path, device: &Path, meant: Meant) -> Option<Access> {
    let found = std::fs::metadata(under(root, device)).ok()?;
    let (who, agent) = match meant {
        Meant::Process(pid) => (running_as(root, pid), Some(pid)),
        Meant::System => (user(root, USER), None),
        Meant::Me => (running_as(root, std::process::id()), None),
    };
    Some(Access {
        device: device.display().to_string(),
        mode: found.mode() & 0o777,
        uid: found.uid(),
        gid: found.gid(),
        owner: name_of(root, "etc/passwd", found.uid()),
        group: name_of(root, "etc/group", found.gid()),
        who,
        agent,
        holders: holders(root, device),
        sees_all: rustix::process::geteuid().is_root(),
    })
}

/// Whoever runs a process (proc_pid_status(5)).
fn running_as(root: &Path, pid: u32) -> Option<Who> {
    let status = text(&root.join(format!("proc/{pid}/status")))?;
    let numbers = |key: &str| -> Option<Vec<u32>> {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().filter_map(|number| number.parse().ok()).collect())
    };
    // Behind the real one stands the effective.
    let effective = |key| numbers(key)?.get(1).copied();
    let (uid, gid) = (effective("Uid:")?, effective("Gid:")?);
    let mut gids = numbers("Groups:").unwrap_or_default();
    gids.push(gid);
    Some(Who { name: name_of(root, "etc/passwd", uid), uid, gids })
}

/// A user as the unit starts him.
fn user(root: &Path, name: &str) -> Option<Who> {
    let people = text(&root.join("etc/passwd"))?;
    let fields: Vec<&str> = people
        .lines()
        .map(|line| line.split(':').collect())
        .find(|fields: &Vec<&str>| fields.first() == Some(&name))?;
    let (uid, gid) = (fields.get(2)?.parse().ok()?, fields.get(3)?.parse().ok()?);
    let mut gids = vec![gid];
    for line in text(&root.join("etc/group")).unwrap_or_default().lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let [group, _, gid, members] = fields.as_slice() else { continue };
        if (*group == UNIT_GROUP || members.split(',').any(|member| member == name))
            && let Ok(gid) = gid.parse()
        {
            gids.push(gid);
        }
    }
    Some(Who { name: name.to_owned(), uid, gids })
}

/// The name of a number in a file of users or groups; else the number.
fn name_of(root: &Path, file: &str, id: u32) -> String {
    let known = text(&root.join(file)).unwrap_or_default();
    let fields = known.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut named = fields.filter(|fields| fields.get(2).is_some_and(|number| number.parse() == Ok(id)));
    named.next().map_or_else(|| id.to_string(), |fields| fields[0].to_owned())
}

/// Whether the agent may open it.
pub(super) fn allowed(access: &Access) -> Step {
    let Access { device, mode, uid, gid, owner, group, .. } = access;
    let Some(who) = &access.who else {
        return Step::skipped("access", "it is not known which user the agent runs as");
    };
    let bits = match who {
        Who { uid: 0, .. } => READ_WRITE,
        Who { uid: its, .. } if its == uid => mode >> 6,
        Who { gids, .. } if gids.contains(gid) => mode >> 3,
        Who { .. } => *mode,
    };
    let whose = format!("{device} belongs to {owner}, group {group} ({mode:o})");
    if bits & READ_WRITE == READ_WRITE {
        return Step::ok("access", format!("{whose}; {} may open it", who.name));
    }
    let text = format!("{whose}, and {} may not open it", who.name);
    let failed = Step::failed("access", Fault::PortPermission, text);
    let helps = mode >> 3 & READ_WRITE == READ_WRITE && !who.gids.contains(gid) && *gid != 0;
    if !helps {
        let rules = "Install the rules that come with the agent (60-spoolway.rules), then `sudo udevadm control --reload` and plug it in anew.";
        return failed.with_help(rules);
    }
    failed.with_help(format!(
        "Put it into the group: `sudo usermod -aG {group} {}`, then start the agent anew (a person has to log in again).",
        who.name
    ))
}

/// Who has it open.
pub(super) fn holder(access: &Access) -> Step {
    let is_agent = |holder: &&Holder| Some(holder.pid) == access.agent;
    let (own, others): (Vec<_>, Vec<_>) = access.holders.iter().partition(is_agent);
    if let [first, ..] = others.as_slice() {
        let names: Vec<_> =
            others.iter().map(|holder| format!("{} (process {})", holder.name, holder.pid)).collect();
        let help = format!(
            "Stop it: `sudo systemctl stop {0}` where it is a service, else `sudo kill {1}`. A printer takes lines from one program.",
            service_of(&first.name),
            first.pid
        );
        let text = format!("{} has {} open", names.join(" and "), access.device);
        return Step::failed("holder", Fault::PortBusy, text).with_help(help);
    }
    match own.first() {
        Some(agent) => {
            Step::ok("holder", format!("the agent (process {}) has it, and nobody else", agent.pid))
        }
        None if access.sees_all => Step::ok("holder", "nobody has it open"),
        None => Step::skipped("holder", "only root sees who has it open"),
    }
}

/// A name that can be typed; names of processes come from strangers.
fn service_of(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    name.chars().filter(|c| is_plain(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::report::Verdict;
    use super::super::sources::tests::Tree;
    use super::*;

    fn who(name: &str, uid: u32, gids: &[u32]) -> Option<Who> {
        Some(Who { name: name.into(), uid, gids: gids.to_vec() })
    }

    /// A port as Debian has it.
    fn access(mode: u32, who: Option<Who>) -> Access {
        Access {
            device: "/dev/ttyUSB0".into(),
            mode,
            uid: 0,
            gid: 20,
            owner: "root".into(),
            group: "dialout".into(),
            who,
            agent: Some(700),
            holders: Vec::new(),
            sees_all: true,
        }
    }

    fn help(step: &Step) -> &str {
        step.help.as_deref().unwrap_or_default()
    }

    #[test]
    fn whoever_may_not_open_it_hears_which_group_is_missing() {
        for (mode, person, verdict, part) in [
            (0o660, who("spoolway-agent", 990, &[990, 20]), Verdict::Ok, ""),
            (0o660, who("root", 0, &[0]), Verdict::Ok, ""),
            (0o666, who("pi", 1000, &[1000]), Verdict::Ok, ""),
            (0o660, who("pi", 1000, &[1000, 27]), Verdict::Failed, "sudo usermod -aG dialout pi"),
            (0o600, who("pi", 1000, &[1000, 20]), Verdict::Failed, "60-spoolway.rules"),
            (0o640, who("pi", 1000, &[1000]), Verdict::Failed, "60-spoolway.rules"),
            (0o660, None, Verdict::Skipped, ""),
        ] {
            let step = allowed(&access(mode, person));
            assert_eq!(step.verdict, verdict, "{step:?}");
            assert!(help(&step).contains(part), "{step:?}");
            assert_eq!(step.code.as_deref(), (verdict == Verdict::Failed).then_some("port.permission"));
        }
        // Nobody is put into the group of root.
        let roots = Access { gid: 0, group: "root".into(), ..access(0o660, who("pi", 1000, &[1000])) };
        assert!(help(&allowed(&roots)).contains("60-spoolway.rules"));
    }

    #[test]
    fn another_program_at_the_port_is_named_and_the_agent_is_not() {
        let holder_of = |pid, name: &str| Holder { pid, name: name.into() };
        let mut found = access(0o660, None);
        assert_eq!(holder(&found).verdict, Verdict::Ok);
        found.sees_all = false;
        assert_eq!(holder(&found).verdict, Verdict::Skipped);
        found.holders = vec![holder_of(700, "spoolway-agent")];
        let step = holder(&found);
        assert_eq!((step.verdict, step.text.contains("process 700")), (Verdict::Ok, true));
        found.holders.push(holder_of(812, "octo;print"));
        let step = holder(&found);
        assert_eq!((step.verdict, step.code.as_deref()), (Verdict::Failed, Some("port.busy")));
        assert!(step.text.contains("(process 812)") && !step.text.contains("700"), "{step:?}");
        assert!(help(&step).contains("stop octoprint`") && help(&step).contains("kill 812"), "{step:?}");
    }

    #[test]
    fn people_and_groups_are_read_as_the_system_keeps_them() {
        let tree = Tree::new();
        tree.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nspoolway-agent:x:990:991::/:/bin/false\n");
        tree.file("etc/group", "dialout:x:20:\ntty:x:5:pi,spoolway-agent\nspoolway:x:991:\n");
        tree.file("proc/700/status", "Name:\tx\nUid:\t0\t990\t0\t0\nGid:\t0\t991\t0\t0\nGroups:\t20 \n");
        tree.file("dev/ttyUSB0", "");
        let running = look(tree.root(), Path::new("/dev/ttyUSB0"), Meant::Process(700)).unwrap();
        assert_eq!((running.who, running.agent), (who("spoolway-agent", 990, &[20, 991]), Some(700)));
        let system = look(tree.root(), Path::new("/dev/ttyUSB0"), Meant::System).unwrap();
        assert_eq!(system.who, who("spoolway-agent", 990, &[991, 20, 5]));
        assert_eq!(name_of(tree.root(), "etc/group", 20), "dialout");
        assert_eq!(name_of(tree.root(), "etc/group", 77), "77");
        assert!(look(tree.root(), Path::new("/dev/ttyUSB1"), Meant::Me).is_none());
        let real = look(Path::new("/"), Path::new("/dev/null"), Meant::Me).unwrap();
        assert_eq!(real.who.unwrap().uid, rustix::process::geteuid().as_raw());
    }
}
