//! compat: may an image run on a host, and what would work instead?

use crate::runtime::Output;
use crate::story::{Need, Story, story};
use crate::world::World;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;

const OURS: Need = Need::Ours("a verb of ours");

pub(crate) const STORIES: &[Story] = &[
    story!(the_platform_pages_table, OURS, Need::Anyone),
    story!(words_and_json_say_the_same, OURS, Need::Anyone),
    story!(what_works_instead_works, OURS, Need::Anyone),
    story!(a_pod_is_refused_at_the_container_that_does_not_fit, OURS, Need::Anyone),
    story!(without_a_host_it_looks_at_this_one, OURS, Need::Anyone),
    story!(a_host_has_and_lacks_features, OURS, Need::Anyone),
    story!(a_wrong_question_is_no_refusal, OURS, Need::Anyone),
];

fn asked(w: &World, options: &str) -> Output {
    let words: Vec<&str> = ["compat"].into_iter().chain(options.split_whitespace()).collect();
    w.call(&words).run()
}

/// The answer as JSON, and that its exit code says the same.
fn answer(w: &World, options: &str) -> Value {
    let output = asked(w, &format!("{options} --format json"));
    let answer = output.json();
    let allowed = answer["allowed"].as_bool().unwrap();
    assert_eq!(output.code, Some(if allowed { 0 } else { 2 }), "{output}");
    assert_eq!(output.stderr, "", "{output}");
    answer
}

fn the_platform_pages_table(w: &World) {
    // host, image, isolation; allowed, pods, rule; and which container of a pod of two is refused.
    let server = "windows-server-2019";
    let client = "windows-10-1809";
    let mut rows = Vec::new();
    for host in [server, client] {
        rows.push((host, "linux", "hypervisor", true, "full", "linux-guest", None));
        rows.push((host, "linux", "process", false, "none", "linux-by-process", Some(0)));
        rows.push((host, "windows:1809", "hypervisor", true, "full", "windows-guest", None));
        for older in ["windows:ltsc2016", "windows:1709", "windows:1803"] {
            rows.push((host, older, "hypervisor", true, "partial", "old-windows-guest", Some(2)));
            let rule = if host == server { "build-differs" } else { "client-by-process" };
            rows.push((host, older, "process", false, "none", rule, Some(0)));
        }
        rows.push((host, "windows:1903", "hypervisor", false, "none", "newer-image", Some(0)));
    }
    rows.push((server, "windows:1903", "process", false, "none", "newer-image", Some(0)));
    rows.push((server, "windows:1809", "process", true, "full", "same-build", None));
    rows.push((client, "windows:1809", "process", false, "none", "client-by-process", Some(0)));
    for (host, image) in [
        ("windows-server-2016", "windows:ltsc2016"),
        ("windows-server-1709", "windows:1709"),
        ("windows-server-1803", "windows:1803"),
    ] {
        rows.push((host, image, "process", true, "none", "same-build", Some(0)));
        rows.push((host, image, "hypervisor", true, "none", "old-windows-guest", Some(0)));
    }
    for (host, image, isolation, allowed, pods, rule, refused) in rows {
        let options = format!("--host {host} --image {image} --isolation {isolation}");
        let alone = answer(w, &options);
        assert_eq!(alone["allowed"], allowed, "{options}: {alone}");
        assert_eq!((&alone["pods"], &alone["rule"]), (&json!(pods), &json!(rule)), "{options}");
        let pod = answer(w, &format!("{options} --pod 2"));
        assert_eq!(pod["allowed"], refused.is_none(), "{options}: {pod}");
        assert_eq!(pod["container"], refused.unwrap_or(2), "{options}: {pod}");
    }
}

fn words_and_json_say_the_same(w: &World) {
    let options = "--host windows-server-2019 --image windows:1803 --isolation process";
    let output = asked(w, options).code(2);
    assert_eq!(
        output.stdout,
        "allowed      false\n\
         image        windows/amd64:10.0.17134\n\
         host         windows-server-2019/amd64\n\
         isolation    process\n\
         pods         none\n\
         rule         build-differs\n\
         because      hosts before 20348 run only images of their own build by process\n\
         hresult      HCS_E_IMAGE_MISMATCH\n\
         hresultCode  0x80370101\n\
         grpc         FailedPrecondition\n\
         instead      hypervisor isolation\n\
         instead      a Windows image of build 17763\n\
         instead      a host windows-server-1803/amd64\n"
    );
    let expected = json!({
        "allowed": false, "host": "windows-server-2019/amd64",
        "image": "windows/amd64:10.0.17134", "isolation": "process", "pods": "none", "rule": "build-differs",
        "because": "hosts before 20348 run only images of their own build by process",
        "hresult": "HCS_E_IMAGE_MISMATCH", "hresultCode": "0x80370101", "grpc": "FailedPrecondition",
        "instead": ["hypervisor isolation", "a Windows image of build 17763", "a host windows-server-1803/amd64"],
    });
    assert_eq!(answer(w, options), expected);
    let allowed = answer(w, "--host windows-10-1809 --image linux");
    assert_eq!((&allowed["isolation"], &allowed["instead"]), (&json!("hypervisor"), &json!([])));
    assert!(allowed.get("hresult").is_none() && allowed.get("grpc").is_none(), "{allowed}");
}

fn what_works_instead_works(w: &World) {
    let host = "--host windows-server-2025";
    let refused = answer(w, &format!("{host} --image windows:ltsc2019"));
    assert_eq!(
        refused["instead"],
        json!([
            "hypervisor isolation",
            "a Windows image of build 20348 to 26100",
            "a host windows-server-2019/amd64"
        ])
    );
    for instead in [
        format!("{host} --image windows:ltsc2019 --isolation hypervisor"),
        format!("{host} --image windows:20348"),
        format!("{host} --image windows:26100"),
        "--host windows-server-2019/amd64 --image windows:ltsc2019".to_owned(),
    ] {
        assert_eq!(answer(w, &instead)["allowed"], true, "{instead}");
    }
}

fn a_pod_is_refused_at_the_container_that_does_not_fit(w: &World) {
    let pod = |options: &str| {
        let answer = answer(w, options);
        (answer["container"].as_u64(), answer["rule"].as_str().unwrap().to_owned())
    };
    let said = |container: u64, rule: &str| (Some(container), rule.to_owned());
    let older = "--host windows-server-2019 --isolation hypervisor --image windows:1803";
    assert_eq!(pod(&format!("{older} --pod 0")), said(0, "old-windows-guest"));
    assert_eq!(pod(&format!("{older} --pod 1")), said(1, "old-windows-guest"));
    assert_eq!(pod(&format!("{older} --pod 9")), said(2, "second-container"));
    let mixed = "--host windows-server-2022 --isolation hypervisor --image windows:1809 --image windows:1809";
    assert_eq!(pod(mixed), said(2, "windows-guest"));
    assert_eq!(pod(&format!("{mixed} --image windows:1903")), said(3, "pod-build"));
    assert_eq!(pod(&format!("{mixed} --image linux --pod 2")), said(2, "windows-guest"));
    assert_eq!(pod(&format!("{mixed} --image linux --pod 3")), said(3, "pod-system"));
    assert_eq!(pod("--host windows-server-1803 --image windows:1803 --pod 1"), said(0, "no-pods"));
    assert_eq!(pod("--host linux --image linux --pod 65535"), said(65535, "linux-host"));
}

fn without_a_host_it_looks_at_this_one(w: &World) {
    let machine = rustix::system::uname().machine().to_str().unwrap().to_owned();
    let tools = w.path("tools");
    fs::create_dir(&tools).unwrap();
    let look = || {
        let call = w.call(&["compat", "--format", "json"]).env("PATH", tools.to_str().unwrap());
        let answer = call.run().ok().json();
        assert_eq!(answer["rule"], "linux-host");
        let host = answer["host"].as_str().unwrap().to_owned();
        assert!(host.starts_with(answer["image"].as_str().unwrap()), "an image like the host: {answer}");
        assert!(host.starts_with(if machine == "x86_64" { "linux/amd64" } else { "linux/" }), "{host}");
        !host.contains("/no-hypervisor")
    };
    let kvm = fs::File::options().read(true).write(true).open("/dev/kvm").is_ok();
    assert_eq!(look(), kvm);
    if machine == "x86_64" {
        let emulator = tools.join("qemu-system-x86_64");
        fs::write(&emulator, "").unwrap();
        fs::set_permissions(&emulator, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(look(), "an emulator is in PATH");
    }
}

fn a_host_has_and_lacks_features(w: &World) {
    let rule = |options: &str| answer(w, options)["rule"].as_str().unwrap().to_owned();
    let hypervisor = "--image linux --isolation hypervisor --host linux";
    assert_eq!(rule(hypervisor), "linux-guest");
    let without = answer(w, &format!("{hypervisor}/no-hypervisor"));
    assert_eq!(without["hresultCode"], "0x80370102");
    assert_eq!(without["instead"][0], "process isolation");
    assert_eq!(without["instead"][1], "hypervisor on the host");
    assert_eq!(rule(&format!("{hypervisor}/no-linux-guest")), "no-linux-guest");
    assert_eq!(rule("--image linux/arm64 --host linux"), "arch");
    assert_eq!(rule("--image linux/arm64 --host linux/emulation"), "linux-host");
    let windows = "--image windows:ltsc2022 --isolation hypervisor --host linux";
    assert_eq!(rule(windows), "no-windows-guest");
    assert_eq!(rule(&format!("{windows}/windows-guest")), "windows-guest");
    let this = answer(w, "--host this/no-hypervisor --isolation hypervisor");
    assert_eq!(this["rule"], "no-hypervisor");
    assert!(this["host"].as_str().unwrap().ends_with("/no-hypervisor"), "{this}");
}

fn a_wrong_question_is_no_refusal(w: &World) {
    for (options, told) in [
        ("--host windows-server-2020", "possible are this, linux, windows-server-2016, windows-10-1607"),
        ("--host 17763", "possible are /server and /client behind it"),
        ("--image macos", "possible are linux, windows"),
        ("--image windows:1804", "10.0.BUILD, BUILD, ltsc2016, 2016"),
        ("--image linux/pdp11", "possible are amd64 arm64"),
        ("--isolation hyperv", "'process' or 'hypervisor' are possible"),
        ("--host linux/kvm", "possible are server client amd64"),
        ("--format yaml", "'text' or 'json' are possible"),
        ("--pod many", "invalid value"),
    ] {
        let output = asked(w, options).code(1);
        assert!(output.stderr.contains(told), "{output}");
        assert!(!output.stdout.contains("refused"), "{output}");
    }
}
