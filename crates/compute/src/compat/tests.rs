//! The matrix, row by row, and what is true of all questions: those of the product of every build and its neighbours,
//! edition, feature, isolation and place.

use super::builds::{GATES, Gate, RELEASES, oldest_by_process};
use super::*;
use std::collections::HashSet;

const PROCESS: Option<Isolation> = Some(Isolation::Process);
const HYPERVISOR: Option<Isolation> = Some(Isolation::Hypervisor);

fn host(text: &str) -> Host {
    Host::parse(text, &Host::new(System::Linux, Arch::Amd64)).unwrap()
}

fn image(text: &str) -> Image {
    Image::parse(text, Arch::Amd64).unwrap()
}

fn alone(on: &str, what: &str, isolation: Option<Isolation>) -> Verdict {
    decide(&Question { host: host(on), image: image(what), isolation, place: Place::Alone })
}

/// What becomes of each container of a pod that is begun with the first image.
fn pod(on: &str, images: &[&str], isolation: Option<Isolation>) -> Vec<Rule> {
    let uvm = Some(image(images[0]));
    let containers = images.iter().zip(1..).map(|(what, containers)| {
        let place = Place::Pod { containers, uvm };
        decide(&Question { host: host(on), image: image(what), isolation, place }).rule
    });
    containers.collect()
}

fn sandbox(on: &str, what: &str, isolation: Option<Isolation>) -> Verdict {
    let place = Place::Pod { containers: 0, uvm: None };
    decide(&Question { host: host(on), image: image(what), isolation, place })
}

/// The table of the platform page for hosts of build 17763, and what follows from its text, row by row.
#[test]
fn the_platform_pages_table() {
    const SERVER: &str = "windows-server-2019";
    const CLIENT: &str = "windows-10-1809";
    const BOTH: [&str; 2] = [SERVER, CLIENT];
    const OLDER: [&str; 3] = ["windows:14393", "windows:16299", "windows:17134"];
    let seen = |verdict: Verdict| (verdict.rule, verdict.allowed(), verdict.pods);
    for on in BOTH {
        // S1: Linux by hypervisor: allowed, whole pods.
        assert_eq!(seen(alone(on, "linux", HYPERVISOR)), (Rule::LinuxGuest, true, Pods::Full));
        assert_eq!(pod(on, &["linux"; 3], HYPERVISOR), [Rule::LinuxGuest; 3]);
        // S2: Linux by process: refused.
        assert_eq!(seen(alone(on, "linux", PROCESS)), (Rule::LinuxByProcess, false, Pods::None));
        assert_eq!(seen(sandbox(on, "linux", PROCESS)), (Rule::LinuxByProcess, false, Pods::None));
        // S5: the same build by hypervisor: allowed, whole pods of that build.
        assert_eq!(seen(alone(on, "windows:17763", HYPERVISOR)), (Rule::WindowsGuest, true, Pods::Full));
        assert_eq!(pod(on, &["windows:17763"; 3], HYPERVISOR), [Rule::WindowsGuest; 3]);
        assert_eq!(
            pod(on, &["windows:17763", "windows:17134", "linux"], HYPERVISOR),
            [Rule::WindowsGuest, Rule::PodBuild, Rule::PodSystem]
        );
        for older in OLDER {
            // S6: an older build by hypervisor: allowed, a sandbox with one container of that build.
            assert_eq!(seen(alone(on, older, HYPERVISOR)), (Rule::OldWindowsGuest, true, Pods::Partial));
            assert_eq!(seen(sandbox(on, older, HYPERVISOR)), (Rule::OldWindowsGuest, true, Pods::Partial));
            let of_two = [Rule::OldWindowsGuest, Rule::SecondContainer];
            assert_eq!(pod(on, &[older; 2], HYPERVISOR), of_two, "refused when the second is created");
            let place = Place::Pod { containers: 1, uvm: Some(image(older)) };
            let other =
                Question { host: host(on), image: image("windows:17763"), isolation: HYPERVISOR, place };
            assert_eq!(decide(&other).rule, Rule::PodBuild);
            // S7: an older build by process: refused.
            let rule = if on == SERVER { Rule::BuildDiffers } else { Rule::ClientByProcess };
            assert_eq!(seen(alone(on, older, PROCESS)), (rule, false, Pods::None));
            assert_eq!(seen(sandbox(on, older, PROCESS)), (rule, false, Pods::None));
        }
        // S8: newer builds: refused.
        for newer in ["windows:17764", "windows:18362", "windows:20348", "windows:26100"] {
            assert_eq!(seen(alone(on, newer, HYPERVISOR)), (Rule::NewerImage, false, Pods::None));
            assert!(!alone(on, newer, PROCESS).allowed());
            assert!(!sandbox(on, newer, None).allowed());
        }
    }
    // S3: the same build by process on a server: allowed, whole pods of that build.
    assert_eq!(seen(alone(SERVER, "windows:17763", PROCESS)), (Rule::SameBuild, true, Pods::Full));
    assert_eq!(
        pod(SERVER, &["windows:17763", "windows:17763", "windows:17134"], PROCESS),
        [Rule::SameBuild, Rule::SameBuild, Rule::BuildDiffers]
    );
    // S4: on a client: refused.
    assert_eq!(seen(alone(CLIENT, "windows:17763", PROCESS)), (Rule::ClientByProcess, false, Pods::None));
    assert_eq!(seen(sandbox(CLIENT, "windows:17763", PROCESS)), (Rule::ClientByProcess, false, Pods::None));
    // S9: older servers: containers, no pods.
    for on in ["windows-server-2016", "windows-server-1709", "windows-server-1803"] {
        let own = Image::of_host(&host(on)).to_string();
        for isolation in [PROCESS, HYPERVISOR] {
            let verdict = alone(on, &own, isolation);
            assert!(verdict.allowed());
            assert_eq!(verdict.pods, Pods::None);
            assert_eq!(seen(sandbox(on, &own, isolation)), (Rule::NoPods, false, Pods::None));
        }
    }
}

/// What hcsshim's own tests ran on each host: image, and whether by process, by hypervisor.
#[test]
fn what_was_run_on_older_hosts() {
    for (on, what, by_process) in [
        ("14393/server", "windows:14393", true),
        ("16299/server", "windows:14393", false),
        ("16299/server", "windows:16299", true),
        ("17134/server", "windows:14393", false),
        ("17134/server", "windows:16299", false),
        ("17134/server", "windows:17134", true),
        ("17763/server", "windows:14393", false),
        ("17763/server", "windows:16299", false),
        ("17763/server", "windows:17134", false),
        ("17763/server", "windows:17763", true),
        ("17763/server", "linux", false),
    ] {
        assert!(alone(on, what, HYPERVISOR).allowed(), "{what} on {on}");
        assert_eq!(alone(on, what, PROCESS).allowed(), by_process, "{what} on {on}");
    }
    // Pods with several containers.
    assert_eq!(pod("17763/server", &["linux"; 2], HYPERVISOR), [Rule::LinuxGuest; 2]);
    assert_eq!(pod("17763/server", &["windows:17763"; 2], HYPERVISOR), [Rule::WindowsGuest; 2]);
}

#[test]
fn process_isolation_by_builds() {
    // The vectors of hcsshim's unit test, then those of containerd's platforms.
    for (on, what, rule) in [
        (17763, 17763, Rule::SameBuild),
        (17763, 20348, Rule::NewerImage),
        (20348, 17763, Rule::TooOldImage),
        (20348, 20348, Rule::SameBuild),
        (22621, 17763, Rule::TooOldImage),
        (22621, 20348, Rule::StableBuild),
        (26100, 20348, Rule::StableBuild),
        (20348, 26100, Rule::NewerImage),
        (20348, 22621, Rule::NewerImage),
        (26100, 22621, Rule::StableBuild),
        (26200, 20348, Rule::StableBuild),
        (26200, 26100, Rule::StableBuild),
        (26200, 17763, Rule::TooOldImage),
        (19042, 19041, Rule::BuildDiffers),
    ] {
        let verdict = alone(&format!("10.0.{on}/server"), &format!("windows:{what}"), PROCESS);
        assert_eq!(verdict.rule, rule, "{what} on {on}");
    }
    let server = "10.0.17763.1817/server";
    assert_eq!(alone(server, "windows:10.0.17763.1", PROCESS).rule, Rule::SameBuild);
    assert_eq!(alone(server, "windows", PROCESS).rule, Rule::UnknownBuild);
    assert_eq!(alone(server, "windows:6.3.17763", PROCESS).rule, Rule::VersionDiffers);
    assert_eq!(alone(server, "windows:10.1.17763", HYPERVISOR).rule, Rule::VersionDiffers);
}

#[test]
fn clients_isolate_by_hypervisor_up_to_windows_10() {
    for release in RELEASES {
        let on = format!("{}/client", release.version());
        let own = format!("windows:{}", release.version());
        assert_eq!(alone(&on, &own, PROCESS).allowed(), release.build >= 22000, "{on}");
        assert!(alone(&on, &own, HYPERVISOR).allowed(), "{on}");
        assert_eq!(alone(&on, &own, None).isolation, Isolation::Hypervisor);
    }
    assert_eq!(alone("windows-11-22h2", "windows:ltsc2022", PROCESS).rule, Rule::StableBuild);
}

#[test]
fn hypervisor_isolation() {
    let mut without = host("windows-server-2022");
    without.hypervisor = false;
    let question = |image| Question { host: without, image, isolation: HYPERVISOR, place: Place::Alone };
    for what in ["linux", "windows:20348", "windows:99999"] {
        let verdict = decide(&question(image(what)));
        assert_eq!(verdict.rule, Rule::NoHypervisor, "{what}");
        assert_eq!(verdict.hresult().map(Hresult::code), Some(0x8037_0102));
    }
    without = host("windows-server-2022");
    without.linux_guest = false;
    let question = |image| Question { host: without, image, isolation: HYPERVISOR, place: Place::Alone };
    assert_eq!(decide(&question(image("linux"))).rule, Rule::NoLinuxGuest);
    assert_eq!(decide(&question(image("windows:20348"))).rule, Rule::WindowsGuest);

    // A pod's guest is its first image's; whatever runs in it follows the rule of process isolation there.
    for (images, second) in [
        (["windows:20348", "windows:20348"], Rule::WindowsGuest),
        (["windows:25398", "windows:20348"], Rule::WindowsGuest),
        (["windows:20348", "windows:25398"], Rule::PodBuild),
        (["windows:20348", "windows:17763"], Rule::PodBuild),
        (["windows:19041", "windows:18363"], Rule::PodBuild),
        (["windows:17134", "windows:17134"], Rule::SecondContainer),
        (["linux", "windows:20348"], Rule::PodSystem),
        (["windows", "windows:20348"], Rule::UnknownBuild),
        (["windows:20348", "windows"], Rule::WindowsGuest),
    ] {
        assert_eq!(pod("windows-server-2025", &images, HYPERVISOR)[1], second, "{images:?}");
    }
    assert_eq!(alone("windows-server-2025", "windows:26200", HYPERVISOR).rule, Rule::NewerImage);
    let unreleased = alone("windows-server-2025", "windows:29000", HYPERVISOR);
    assert_eq!(unreleased.hresult().map(Hresult::code), Some(0x8037_0113));
    assert_eq!(alone("windows-server-2016", "linux", HYPERVISOR).rule, Rule::HostBeforeLinux);
    assert_eq!(alone("10.0.10586/client", "windows:10586", HYPERVISOR).rule, Rule::HostBeforeContainers);
}

#[test]
fn the_default_isolation() {
    for (on, what, isolation) in [
        ("windows-server-2019", "windows:17763", Isolation::Process),
        ("windows-10-1809", "windows:17763", Isolation::Hypervisor),
        ("windows-11-24h2", "windows:26100", Isolation::Hypervisor),
        ("windows-server-2019", "linux", Isolation::Hypervisor),
        ("linux", "linux", Isolation::Process),
    ] {
        let verdict = alone(on, what, None);
        assert_eq!(verdict.isolation, isolation, "{what} on {on}");
        assert!(verdict.allowed());
    }
    // A pod's containers are isolated as it is.
    let linux_pod = pod("windows-server-2019", &["linux", "linux", "windows:17763"], None);
    assert_eq!(linux_pod, [Rule::LinuxGuest, Rule::LinuxGuest, Rule::PodSystem]);
    assert_eq!(pod("windows-server-2019", &["windows:17763", "linux"], None)[1], Rule::LinuxByProcess);
}

#[test]
fn linux_hosts() {
    let seen = |verdict: Verdict| (verdict.rule, verdict.pods);
    assert_eq!(seen(alone("linux", "linux", PROCESS)), (Rule::LinuxHost, Pods::Full));
    assert_eq!(pod("linux", &["linux"; 2], PROCESS), [Rule::LinuxHost; 2]);
    assert_eq!(seen(alone("linux", "linux", HYPERVISOR)), (Rule::LinuxGuest, Pods::Full));
    assert_eq!(pod("linux", &["linux"; 2], HYPERVISOR), [Rule::LinuxGuest; 2]);
    assert_eq!(seen(alone("linux", "windows:20348", PROCESS)), (Rule::WindowsByProcess, Pods::None));
    assert_eq!(seen(alone("linux", "windows:20348", HYPERVISOR)), (Rule::NoWindowsGuest, Pods::None));

    let with = |features: &[Feature], what: &str, isolation| {
        let mut host = host("linux");
        host.hypervisor = false;
        for feature in features {
            host.set(*feature, true);
        }
        let verdict = decide(&Question { host, image: image(what), isolation, place: Place::Alone });
        (verdict.rule, verdict.pods)
    };
    use Feature::{Emulation, Hypervisor, WindowsGuest};
    let refused = |rule| (rule, Pods::None);
    assert_eq!(with(&[], "linux", HYPERVISOR), refused(Rule::NoHypervisor));
    assert_eq!(with(&[], "windows:20348", HYPERVISOR), refused(Rule::NoWindowsGuest));
    assert_eq!(with(&[WindowsGuest], "windows:20348", HYPERVISOR), refused(Rule::NoHypervisor));
    let both = [WindowsGuest, Hypervisor];
    assert_eq!(with(&both, "windows:20348", HYPERVISOR), (Rule::WindowsGuest, Pods::Full));
    assert_eq!(with(&both, "windows:17134", HYPERVISOR), (Rule::OldWindowsGuest, Pods::Partial));
    assert_eq!(with(&both, "windows:20348", PROCESS), refused(Rule::WindowsByProcess));
    assert_eq!(with(&[], "linux/arm64", PROCESS), refused(Rule::Arch));
    assert_eq!(with(&[Emulation], "linux/arm64", PROCESS), (Rule::LinuxHost, Pods::Full));
}

/// The earlier rule is told: somebody who cures it must not have been told of the later one for nothing.
#[test]
fn the_order_of_rules() {
    assert_eq!(alone("windows-server-2019", "linux/arm64", PROCESS).rule, Rule::Arch);
    assert_eq!(alone("linux", "windows:17763", PROCESS).rule, Rule::WindowsByProcess);
    assert_eq!(alone("windows-10-1809", "windows:17134", PROCESS).rule, Rule::ClientByProcess);
    assert_eq!(pod("windows-server-2016", &["windows:17763"], PROCESS), [Rule::NewerImage]);
    assert_eq!(
        pod("windows-server-2019", &["windows:17134", "windows:16299"], HYPERVISOR)[1],
        Rule::SecondContainer
    );
}

#[test]
fn what_spec_and_options_ask_for() {
    assert_eq!(asked_isolation(false, None), Ok(None));
    assert_eq!(asked_isolation(false, PROCESS), Ok(PROCESS));
    assert_eq!(asked_isolation(false, HYPERVISOR), Ok(HYPERVISOR));
    assert_eq!(asked_isolation(true, None), Ok(HYPERVISOR));
    assert_eq!(asked_isolation(true, HYPERVISOR), Ok(HYPERVISOR));
    let refused = asked_isolation(true, PROCESS).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    assert_eq!(
        refused.to_string(),
        "invalid runtime sandbox isolation (PROCESS) for hypervisor isolated OCI spec (rule contradiction)"
    );
}

#[test]
fn a_refusal_says_what_of_whom_and_why() {
    let question = |place| Question {
        host: host("windows-server-1803"),
        image: image("windows:1803"),
        isolation: None,
        place,
    };
    assert_eq!(require(&question(Place::Alone)).map(|verdict| verdict.rule), Ok(Rule::SameBuild));
    let refused = require(&question(Place::Pod { containers: 2, uvm: None })).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "windows/amd64:10.0.17134 on windows-server-1803/amd64 by process as container 2 of a pod: \
         pod support is not available on Windows versions previous to RS5 (17763) (rule no-pods)"
    );
    assert_eq!(crate::Error::from(refused).kind(), Kind::Unsupported);
}

#[test]
fn what_works_instead_is_told() {
    let advice = |on: &str, what: &str, isolation, place| {
        let question = Question { host: host(on), image: image(what), isolation, place };
        instead(&question).iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let pod_of = |uvm: &str| Place::Pod { containers: 2, uvm: Some(image(uvm)) };
    assert_eq!(
        advice("windows-server-2019", "windows:1803", PROCESS, Place::Alone),
        ["hypervisor isolation", "a Windows image of build 17763", "a host windows-server-1803/amd64"]
    );
    assert_eq!(
        advice("windows-server-2019", "linux", PROCESS, Place::Alone),
        ["hypervisor isolation", "a host linux/amd64"]
    );
    assert_eq!(
        advice("windows-server-2025", "windows:17763", PROCESS, Place::Alone),
        [
            "hypervisor isolation",
            "a Windows image of build 20348 to 26100",
            "a host windows-server-2019/amd64"
        ]
    );
    assert_eq!(
        advice("windows-server-2019", "windows:1803", HYPERVISOR, pod_of("windows:1803")),
        ["a pod of Windows images of build 17763", "a pod for each container", "a container in no pod"]
    );
    assert_eq!(
        advice("windows-server-2022", "windows:1903", HYPERVISOR, pod_of("windows:1809")),
        [
            "a Windows image of build 17763",
            "a pod of Windows images of build 17763 to 20348",
            "a pod for each container",
            "a container in no pod",
        ]
    );
    assert_eq!(
        advice("linux", "windows:20348", PROCESS, Place::Alone),
        ["hypervisor isolation and windows-guest on the host", "a host windows-server-2022/amd64"]
    );
    assert_eq!(
        advice("linux", "linux/arm64", PROCESS, Place::Alone),
        ["an image for amd64", "emulation on the host", "a host linux/arm64"]
    );
    assert!(advice("windows-server-2019", "windows:1809", None, Place::Alone).is_empty());
}

/// Every build that something happens at, its neighbours, and both ends.
fn some_builds() -> Vec<u32> {
    let edges = RELEASES.iter().map(|release| release.build);
    let edges = edges.chain(GATES.iter().filter_map(|(_, since)| *since));
    let mut builds: Vec<u32> = edges.flat_map(|build| [build - 1, build, build + 1]).collect();
    builds.extend([0, u32::MAX]);
    builds.sort_unstable();
    builds.dedup();
    builds
}

fn some_hosts(builds: &[u32]) -> Vec<Host> {
    let mut systems = vec![System::Linux];
    for build in builds {
        systems.extend(
            [Edition::Server, Edition::Client].map(|it| System::Windows(it, Version::of_build(*build))),
        );
    }
    let mut hosts = Vec::new();
    for system in systems {
        // A Windows for utility VMs is nothing to a Windows host.
        for set in 0..if matches!(system, System::Linux) { 16 } else { 8 } {
            let mut host = Host::new(system, Arch::Amd64);
            host.hypervisor = set & 1 != 0;
            host.linux_guest = set & 2 != 0;
            host.emulation = set & 4 != 0;
            host.windows_guest = set & 8 != 0;
            hosts.push(host);
        }
    }
    hosts
}

fn some_images(builds: &[u32]) -> Vec<Image> {
    let windows = builds.iter().map(|build| ImageOs::Windows(Some(Version::of_build(*build))));
    let windows = windows.chain([ImageOs::Windows(Some("6.3.17763".parse().unwrap()))]);
    let oses = [ImageOs::Linux, ImageOs::Windows(None)].into_iter().chain(windows);
    oses.flat_map(|os| [Arch::Amd64, Arch::Arm64].map(|arch| Image { os, arch })).collect()
}

/// By itself, in pods of its own image, and as the first and second of pods of others.
fn some_places() -> Vec<Place> {
    let pods = [
        None,
        Some("linux"),
        Some("windows"),
        Some("windows:17134"),
        Some("windows:17763"),
        Some("windows:25398"),
    ];
    let pods = pods.map(|uvm| uvm.map(image));
    let pods = pods.into_iter().flat_map(|uvm| [0, 1, 2, 3].map(|containers| Place::Pod { containers, uvm }));
    [Place::Alone].into_iter().chain(pods).collect()
}

/// Calls for every question of the product, in threads.
fn every_question(builds: &[u32], check: impl Fn(&Question) + Sync) {
    let (images, places) = (some_images(builds), some_places());
    let hosts = some_hosts(builds);
    std::thread::scope(|scope| {
        for hosts in hosts.chunks(hosts.len().div_ceil(2)) {
            let (images, places, check) = (&images, &places, &check);
            scope.spawn(move || {
                for host in hosts {
                    for image in images {
                        for isolation in [None, PROCESS, HYPERVISOR] {
                            for place in places {
                                check(&Question { host: *host, image: *image, isolation, place: *place });
                            }
                        }
                    }
                }
            });
        }
    });
}

/// What was refused with less is not allowed with more of what costs, nor the other way round.
#[test]
fn more_never_allows_less() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    every_question(&some_builds(), |question| {
        asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let verdict = decide(question);
        let told = || format!("{question:?}: {verdict:?}");
        // A verdict is one: the rule allows or refuses, with an answer only to a refusal.
        assert_eq!(verdict.allowed(), verdict.rule.grpc().is_none(), "{}", told());
        assert!(!verdict.allowed() || verdict.hresult().is_none(), "{}", told());
        assert!(!matches!(verdict.rule, Rule::Contradiction | Rule::NoMatch), "{}", told());
        // The default is one of the two that can be asked for.
        let explicit = Question { isolation: Some(verdict.isolation), ..*question };
        assert_eq!(decide(&explicit), verdict, "{}", told());
        assert!(question.isolation.is_none_or(|asked| asked == verdict.isolation), "{}", told());

        // More of a host never allows less, nor fewer containers.
        for feature in Feature::all().filter(|feature| !question.host.has(*feature)) {
            let more = decide(&question.with(&[Change::Feature(feature)]));
            assert!(more.allowed() || !verdict.allowed(), "{feature:?} {}", told());
            assert!(more.pods >= verdict.pods, "{feature:?} {}", told());
        }
        if let Place::Pod { containers: containers @ 1.., uvm } = question.place {
            let fewer = Place::Pod { containers: containers - 1, uvm };
            let fewer = decide(&Question { place: fewer, ..*question });
            assert!(fewer.allowed() || !verdict.allowed(), "{}", told());
            assert_eq!(fewer.pods, verdict.pods, "{}", told());
        }
        // Whoever has pods says so: a container alone is told what pods there are.
        if let Place::Pod { uvm: None, .. } = question.place {
            let alone = decide(&Question { place: Place::Alone, ..*question });
            assert!(alone.allowed() || !verdict.allowed(), "{}", told());
            let containers = match alone.pods {
                Pods::None => None,
                Pods::Partial => Some(1),
                Pods::Full => Some(3),
            };
            let Place::Pod { containers: wanted, .. } = question.place else { unreachable!() };
            let has = alone.allowed() && containers.is_some_and(|containers| wanted <= containers);
            assert_eq!(verdict.allowed(), has, "{}", told());
        }
        if let System::Windows(edition, version) = question.host.system {
            // A newer host boots what an older one does; a server isolates as a client does.
            let newer = Version::of_build(version.build.saturating_add(1));
            let newer = Host { system: System::Windows(edition, newer), ..question.host };
            let newer = decide(&Question { host: newer, ..explicit });
            if verdict.isolation == Isolation::Hypervisor {
                assert!(newer.allowed() || !verdict.allowed(), "{}", told());
                assert!(newer.pods >= verdict.pods, "{}", told());
            }
            let server = System::Windows(Edition::Server, version);
            let server = decide(&Question { host: Host { system: server, ..question.host }, ..explicit });
            assert!(server.allowed() || !verdict.allowed(), "{}", told());
            // The revision decides nothing.
            let revised = Version { revision: 1, ..version };
            let revised = Host { system: System::Windows(edition, revised), ..question.host };
            assert_eq!(decide(&Question { host: revised, ..*question }), verdict, "{}", told());
        }
        if let ImageOs::Windows(Some(version)) = question.image.os {
            let os = ImageOs::Windows(Some(Version { revision: 1, ..version }));
            let revised = Image { os, ..question.image };
            assert_eq!(decide(&Question { image: revised, ..*question }), verdict, "{}", told());
        }
    });
    assert!(asked.into_inner() > 5_000_000);
}

/// Every rule is somebody's answer, and what is advised is allowed, at both ends of a range of builds.
#[test]
fn every_rule_is_reached_and_every_advice_is_true() {
    let builds = [10586, 14393, 17134, 17763, 20348, 26100, 29000];
    let reached = std::sync::Mutex::new(HashSet::new());
    every_question(&builds, |question| {
        let verdict = decide(question);
        reached.lock().unwrap().insert(verdict.rule);
        let advice = instead(question);
        assert!(!verdict.allowed() || advice.is_empty());
        for Alternative { changes } in &advice {
            assert!(decide(&question.with(changes)).allowed(), "{question:?}: {changes:?}");
            let others: Vec<Change> = changes
                .iter()
                .map(|change| match change {
                    Change::Image(oldest, _) => Change::Image(*oldest, *oldest),
                    Change::PodOf(oldest, _) => Change::PodOf(*oldest, *oldest),
                    other => *other,
                })
                .collect();
            assert!(decide(&question.with(&others)).allowed(), "{question:?}: {others:?}");
        }
        // Something always helps, but for an image that nobody has a host for.
        let known = match question.image.os {
            ImageOs::Linux | ImageOs::Windows(None) => true,
            ImageOs::Windows(Some(version)) => version.release().is_some(),
        };
        assert!(verdict.allowed() || !known || !advice.is_empty(), "{question:?}: {verdict:?}");
    });
    let reached = reached.into_inner().unwrap();
    let missed: Vec<Rule> = Rule::all().filter(|rule| !reached.contains(rule)).collect();
    assert_eq!(missed, [Rule::Contradiction, Rule::NoMatch]);
}

#[test]
fn the_gates_that_rules_use_are_the_ones_they_name() {
    assert_eq!(Gate::Pods.since(), Some(17763));
    assert!(Rule::NoPods.says().contains("17763") && Rule::OldWindowsGuest.says().contains("17763"));
    assert!(Rule::HostBeforeLinux.says().contains(&Gate::LinuxGuests.since().unwrap().to_string()));
    assert!(Rule::HostBeforeContainers.says().contains(&FIRST.to_string()));
    assert!(Rule::BuildDiffers.says().contains(&builds::STABLE[0].to_string()));
    assert_eq!(oldest_by_process(builds::STABLE[0]), builds::STABLE[0]);
}
