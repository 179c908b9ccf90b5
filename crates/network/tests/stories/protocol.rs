//! What plugins are told, to the letter, and what is made of their answers.

use crate::recorder::{Recorder, Run, pod};
use crate::{Place, Story, wait};
use network::{Attachment, Bandwidth, DnsConfig, Error, Kind, NotReady, PluginError, PortMapping, Protocol};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;

pub(crate) fn stories() -> Vec<Story> {
    let story = |name, tell| Story { name, place: Place::Here, tell };
    vec![
        story("plugins_are_told_exactly_this", plugins_are_told_exactly_this),
        story("every_capability_reaches_who_wants_it", every_capability_reaches_who_wants_it),
        story("all_versions_of_results_are_one", all_versions_of_results_are_one),
        story("a_version_is_agreed_on_once", a_version_is_agreed_on_once),
        story("errors_of_plugins_are_typed", errors_of_plugins_are_typed),
        story("check_asks_with_the_result_of_add", check_asks_with_the_result_of_add),
        story("status_says_why_not", status_says_why_not),
        story("garbage_is_what_is_not_valid", garbage_is_what_is_not_valid),
        story("several_networks_are_attached_in_order", several_networks_are_attached_in_order),
    ]
}

fn two_plugins() -> Value {
    json!({
        "cniVersion": "1.1.0", "name": "net", "plugins": [
            {"type": "first", "x": {"y": [1, null]}, "capabilities": {"mac": false}},
            {"type": "second", "capabilities": {"mac": true, "ips": true}}
        ]
    })
}

fn plugins_are_told_exactly_this() {
    let recorder = Recorder::new(&["first", "second"]);
    recorder.configure(&two_plugins());
    recorder.says("second-ADD", r#"cat > "$file.json"; echo '{"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.3/24"}], "dns": {"search": ["x"]}, "more": 1}'"#);
    let cni = recorder.cni();
    let attachment = Attachment { mac: Some("02:00:00:00:00:01".into()), ..pod("p1") };
    let attached = wait(cni.add(&attachment)).unwrap();
    assert_eq!(attached.ips, ["10.0.0.3".parse::<IpAddr>().unwrap()]);
    assert_eq!(attached.dns.search, ["x"]);
    assert_eq!(wait(cni.attached("p1")).unwrap(), Some(attached));

    let bin = recorder.path("bin");
    let environment = |command: &str, netns: &str| {
        vec![
            "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_INFRA_CONTAINER_ID=p1;\
             K8S_POD_UID=u-1"
                .to_owned(),
            format!("CNI_COMMAND={command}"),
            "CNI_CONTAINERID=p1".to_owned(),
            "CNI_IFNAME=eth0".to_owned(),
            format!("CNI_NETNS={netns}"),
            format!("CNI_PATH={}", bin.display()),
        ]
    };
    let run = |plugin: &str, command: &str, netns: &str, question: Value| Run {
        plugin: plugin.to_owned(),
        command: command.to_owned(),
        environment: environment(command, netns),
        question,
    };
    let first = json!({"cniVersion": "1.1.0", "name": "net", "type": "first", "x": {"y": [1, null]}});
    let second = json!({
        "cniVersion": "1.1.0", "name": "net", "type": "second", "runtimeConfig": {"mac": "02:00:00:00:00:01"}
    });
    let with = |mut question: Value, result: &Value| {
        question["prevResult"] = result.clone();
        question
    };
    let answered_first = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.0.0.2/24"}]});
    assert_eq!(
        recorder.runs(),
        [
            run("first", "ADD", "/run/netns/none", first.clone()),
            run("second", "ADD", "/run/netns/none", with(second.clone(), &answered_first)),
        ]
    );

    // Another name in the request changes nothing: an attachment is undone as it was made. Its namespace is gone.
    wait(cni.del(&Attachment { name: "other".into(), ..pod("p1") })).unwrap();
    let last = json!({
        "cniVersion": "1.1.0", "ips": [{"address": "10.0.0.3/24"}], "dns": {"search": ["x"]}, "more": 1
    });
    assert_eq!(
        recorder.runs(),
        [run("second", "DEL", "", with(second, &last)), run("first", "DEL", "", with(first, &last))]
    );
    assert_eq!(recorder.records(), 0);
    assert_eq!(wait(cni.attached("p1")).unwrap(), None);
}

fn every_capability_reaches_who_wants_it() {
    let all = [
        "portMappings",
        "bandwidth",
        "dns",
        "ips",
        "mac",
        "infinibandGUID",
        "aliases",
        "deviceID",
        "cgroupPath",
        "io.kubernetes.cri.pod-annotations",
    ];
    let wanted: BTreeMap<&str, bool> = all.iter().map(|name| (*name, true)).collect();
    let recorder = Recorder::new(&["all", "none"]);
    recorder.configure(&json!({"cniVersion": "1.0.0", "name": "net", "plugins": [
        {"type": "all", "capabilities": wanted}, {"type": "none"}
    ]}));
    let attachment = Attachment {
        port_mappings: vec![
            PortMapping {
                host_port: 8080,
                container_port: 80,
                protocol: Protocol::Tcp,
                host_ip: "127.0.0.1".into(),
            },
            PortMapping { host_port: 0, container_port: 81, protocol: Protocol::Udp, host_ip: String::new() },
        ],
        bandwidth: Some(Bandwidth { ingress_rate: 1, ingress_burst: 2, egress_rate: 3, egress_burst: 4 }),
        dns: Some(DnsConfig {
            servers: vec!["10.0.0.10".into()],
            searches: vec!["a.b".into()],
            options: vec![],
        }),
        ips: vec!["10.0.0.9/24".into()],
        mac: Some("02:00:00:00:00:01".into()),
        infiniband_guid: Some("02:00:00:00:00:01:02:03".into()),
        aliases: vec!["db".into()],
        device_id: Some("0000:04:00.5".into()),
        cgroup_path: Some("/pods/1".into()),
        annotations: BTreeMap::from([("k".into(), "v".into())]),
        ..pod("p1")
    };
    wait(recorder.cni().add(&attachment)).unwrap();
    let runs = recorder.runs();
    assert_eq!(
        runs[0].question["runtimeConfig"],
        json!({
            "portMappings": [
                {"hostPort": 8080, "containerPort": 80, "protocol": "tcp", "hostIP": "127.0.0.1"}
            ],
            "bandwidth": {"ingressRate": 1, "ingressBurst": 2, "egressRate": 3, "egressBurst": 4},
            "dns": {"servers": ["10.0.0.10"], "searches": ["a.b"], "options": []},
            "ips": ["10.0.0.9/24"],
            "mac": "02:00:00:00:00:01",
            "infinibandGUID": "02:00:00:00:00:01:02:03",
            "aliases": ["db"],
            "deviceID": "0000:04:00.5",
            "cgroupPath": "/pods/1",
            "io.kubernetes.cri.pod-annotations": {"k": "v"}
        })
    );
    assert_eq!(runs[1].question.get("runtimeConfig"), None);
}

fn all_versions_of_results_are_one() {
    let old = r#"{"ip4": {"ip": "10.0.0.2/24"}, "ip6": {"ip": "fd00::2/64"}, "dns": {}}"#;
    let new = r#"{"interfaces": [{"name": "veth1"}, {"name": "eth0", "sandbox": "/n"}],
        "ips": [{"address": "fd00::2/64", "interface": 1}, {"address": "10.0.0.2/24", "interface": 1},
                {"address": "10.9.9.9/24", "interface": 0}]}"#;
    for (version, answer) in [("0.2.0", old), ("0.3.1", new), ("0.4.0", new), ("1.0.0", new), ("1.1.0", new)]
    {
        let recorder = Recorder::new(&["p"]);
        recorder.configure(&json!({"cniVersion": version, "name": "net", "plugins": [{"type": "p"}]}));
        recorder.says("ADD", &format!("cat > /dev/null; echo '{answer}'"));
        let attached = wait(recorder.cni().add(&pod("p1"))).unwrap();
        let ips: Vec<String> = attached.ips.iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["10.0.0.2", "fd00::2"], "{version}");
        // DEL is told the result since 0.4.0.
        recorder.runs();
        wait(recorder.cni().del(&pod("p1"))).unwrap();
        assert_eq!(recorder.runs()[0].question.get("prevResult").is_some(), version >= "0.4.0", "{version}");
    }

    // A plugin that answers in a version of its own is translated for the next.
    let recorder = Recorder::new(&["a", "b"]);
    recorder
        .configure(&json!({"cniVersion": "0.4.0", "name": "net", "plugins": [{"type": "a"}, {"type": "b"}]}));
    recorder.says(
        "a-ADD",
        r#"cat > "$file.json"; echo '{"cniVersion": "1.0.0", "ips": [{"address": "10.0.0.2/24"}]}'"#,
    );
    wait(recorder.cni().add(&pod("p1"))).unwrap();
    let told = &recorder.runs()[1].question["prevResult"];
    assert_eq!((&told["cniVersion"], &told["ips"][0]["version"]), (&json!("0.4.0"), &json!("4")));
}

fn a_version_is_agreed_on_once() {
    let recorder = Recorder::new(&["p", "q"]);
    recorder.configure(&json!({
        "cniVersion": "0.4.0", "cniVersions": ["1.0.0", "1.1.0"], "name": "net", "plugins": [{"type": "p"}, {"type": "q"}]
    }));
    recorder.says("q-VERSION", r#"echo '{"cniVersion":"1.0.0","supportedVersions":["0.4.0","1.0.0"]}'"#);
    let cni = recorder.cni();
    wait(cni.add(&pod("p1"))).unwrap();
    wait(cni.add(&pod("p2"))).unwrap();
    let runs = recorder.all_runs();
    let asked = runs.iter().filter(|run| run.command == "VERSION").count();
    assert_eq!(asked, 2, "each plugin once: {runs:?}");
    assert!(runs.iter().filter(|run| run.command == "ADD").all(|run| run.question["cniVersion"] == "1.0.0"));

    // A new program is asked anew.
    fs::remove_file(recorder.path("bin/q")).unwrap();
    recorder.program("q", "#!/bin/sh\necho '{\"cniVersion\":\"1.1.0\",\"supportedVersions\":[\"0.1.0\"]}'\n");
    let error = wait(cni.add(&pod("p3"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    let Error::Attach { cause, .. } = &error else { panic!("{error}") };
    assert_eq!(cause.to_string(), "plugin q does not speak version 1.1.0, only 0.1.0");
    assert_eq!(recorder.commands(), [] as [&str; 0]);

    // One that does not know the question is believed.
    recorder.program("q", "#!/bin/sh\n[ $CNI_COMMAND = VERSION ] && exit 1; echo '{}'\n");
    wait(cni.add(&pod("p4"))).unwrap();
}

fn errors_of_plugins_are_typed() {
    let recorder = Recorder::new(&["first", "second"]);
    recorder.configure(&two_plugins());
    let cni = recorder.cni();
    let cause = |script: &str| {
        recorder.says("second-ADD", script);
        let error = wait(cni.add(&pod("p1"))).unwrap_err();
        assert_eq!(recorder.records(), 0, "a failed attachment leaves nothing");
        assert_eq!(recorder.commands(), ["first ADD", "second ADD", "second DEL", "first DEL"]);
        let kind = error.kind();
        let Error::Attach { network, left, cause, .. } = error else { panic!("{error}") };
        assert_eq!((network.as_str(), left.len()), ("net", 0));
        (kind, *cause)
    };
    let (kind, error) =
        cause(r#"echo '{"cniVersion": "1.1.0", "code": 7, "msg": "bad", "details": "worse"}'; exit 1"#);
    assert_eq!(kind, Kind::Failed);
    assert_eq!(error.to_string(), "plugin second failed to ADD: bad (code 7); worse");
    assert!(matches!(error, PluginError::Answered { code: 7, .. }));
    let (kind, _) = cause(r#"echo '{"code": 11, "msg": "later"}'; exit 1"#);
    assert_eq!(kind, Kind::Unavailable);
    let (_, error) = cause("echo went wrong >&2; exit 3");
    assert_eq!(error.to_string(), "plugin second failed to ADD: exit status: 3: went wrong");
    let (_, error) = cause("echo not json");
    assert!(matches!(error, PluginError::Malformed { .. }), "{error}");
    let (_, error) = cause(r#"echo '{"ips": [{"address": "none"}]}'"#);
    assert!(matches!(error, PluginError::Malformed { .. }), "{error}");
    let (_, error) = cause("kill -9 $$");
    assert!(matches!(error, PluginError::Failed { .. }), "{error}");

    fs::remove_file(recorder.path("bin/second")).unwrap();
    let error = wait(cni.add(&pod("p1"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(recorder.commands(), [] as [&str; 0], "nothing is begun that cannot come to its end");
    // What is not there has made nothing: a pod that never was can be removed.
    wait(cni.del(&pod("p1"))).unwrap();

    let error = wait(cni.add(&pod("../p1"))).unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
}

fn check_asks_with_the_result_of_add() {
    let recorder = Recorder::new(&["first", "second"]);
    recorder.configure(&two_plugins());
    let cni = recorder.cni();
    assert_eq!(wait(cni.check("p1")).unwrap_err().kind(), Kind::NotFound);
    wait(cni.add(&pod("p1"))).unwrap();
    recorder.runs();
    wait(cni.check("p1")).unwrap();
    let runs = recorder.runs();
    assert_eq!(runs.len(), 2);
    assert!(runs.iter().all(|run| run.question["prevResult"]["ips"][0]["address"] == "10.0.0.2/24"));
    assert!(runs[0].environment.contains(&"CNI_NETNS=/run/netns/none".to_owned()));
    recorder.says("first-CHECK", r#"echo '{"code": 100, "msg": "gone"}'; exit 1"#);
    let error = wait(cni.check("p1")).unwrap_err();
    assert!(matches!(&error, Error::Check { cause, .. } if cause.to_string().contains("gone")), "{error}");
    assert_eq!(recorder.commands(), ["first CHECK"]);

    let mut list = two_plugins();
    list["disableCheck"] = json!(true);
    recorder.configure(&list);
    wait(cni.add(&pod("p2"))).unwrap();
    recorder.runs();
    wait(cni.check("p2")).unwrap();
    assert_eq!(recorder.commands(), [] as [&str; 0]);
}

fn status_says_why_not() {
    let recorder = Recorder::new(&["first", "second"]);
    let cni = recorder.cni();
    let error = wait(cni.status()).unwrap_err();
    assert!(error.to_string().starts_with("there is no network configuration in "), "{error}");
    assert_eq!(wait(cni.add(&pod("p1"))).unwrap_err().kind(), Kind::Unavailable);
    fs::write(recorder.path("net.d/00.conf"), "{").unwrap();
    let error = wait(cni.status()).unwrap_err();
    assert!(error.to_string().contains("00.conf: understand"), "{error}");

    // It is seen as soon as it is there.
    recorder.configure(&two_plugins());
    wait(cni.status()).unwrap();
    let runs = recorder.runs();
    assert_eq!(runs.len(), 2);
    assert_eq!(
        runs[0].environment,
        ["CNI_COMMAND=STATUS".to_owned(), format!("CNI_PATH={}", recorder.path("bin").display())]
    );
    assert_eq!(
        runs[0].question,
        json!({"cniVersion": "1.1.0", "name": "net", "type": "first", "x": {"y": [1, null]}})
    );
    let (configured, broken) = wait(cni.configured());
    assert_eq!((configured[0].name.as_str(), broken.len()), ("net", 1));
    assert_eq!(configured[0].plugins, ["first", "second"]);

    recorder.says("second-STATUS", r#"echo '{"code": 50, "msg": "daemon is down"}'; exit 1"#);
    let NotReady::Plugin { cause, .. } = wait(cni.status()).unwrap_err() else { panic!("it is the plugin") };
    assert!(matches!(*cause, PluginError::Answered { code: 50, .. }));
    let mut older = two_plugins();
    older["cniVersion"] = json!("1.0.0");
    recorder.configure(&older);
    recorder.runs();
    wait(cni.status()).unwrap();
    assert_eq!(recorder.commands(), [] as [&str; 0], "the question is not known before 1.1.0");
    fs::remove_file(recorder.path("bin/second")).unwrap();
    let error = wait(cni.status()).unwrap_err();
    assert!(matches!(error, NotReady::Plugin { .. }), "{error}");
}

fn garbage_is_what_is_not_valid() {
    let recorder = Recorder::new(&["first", "second"]);
    recorder.configure(&two_plugins());
    let cni = recorder.cni();
    for id in ["p1", "p2", "p3"] {
        wait(cni.add(&pod(id))).unwrap();
    }
    recorder.runs();
    wait(cni.gc(&["p2".to_owned(), "lost".to_owned()])).unwrap();
    let runs = recorder.runs();
    let commands: Vec<String> = runs.iter().map(|run| format!("{} {}", run.plugin, run.command)).collect();
    assert_eq!(commands, ["second DEL", "first DEL", "second DEL", "first DEL", "first GC", "second GC"]);
    let valid = json!([{"containerID": "p2", "ifname": "eth0"}, {"containerID": "lost", "ifname": "eth0"}]);
    assert_eq!(runs[4].question["cni.dev/valid-attachments"], valid);
    assert_eq!(runs[4].question["cni.dev/attachments"], valid);
    assert_eq!(runs[4].environment.len(), 2, "only CNI_COMMAND and CNI_PATH");
    assert_eq!(recorder.records(), 1);

    let mut list = two_plugins();
    list["disableGC"] = json!(true);
    recorder.configure(&list);
    wait(cni.gc(&[])).unwrap();
    assert_eq!(
        recorder.commands(),
        ["second DEL", "first DEL"],
        "our own attachments are undone all the same"
    );
    assert_eq!(recorder.records(), 0);
}

fn several_networks_are_attached_in_order() {
    let recorder = Recorder::new(&["a", "b"]);
    for (file, plugin) in [("1.conflist", "a"), ("2.conflist", "b")] {
        let list = json!({"cniVersion": "1.0.0", "name": plugin, "plugins": [{"type": plugin}]});
        fs::write(recorder.path("net.d").join(file), list.to_string()).unwrap();
    }
    recorder.says("b-ADD", r#"cat > "$file.json"; echo '{"ips": [{"address": "10.7.7.7/24"}]}'"#);
    let cni = network::Cni::new(network::Config { max_networks: 0, ..recorder.config() });
    let attached = wait(cni.add(&pod("p1"))).unwrap();
    assert_eq!(attached.ips, ["10.0.0.2".parse::<IpAddr>().unwrap()], "the first network's");
    let networks: Vec<(&str, &str)> =
        attached.networks.iter().map(|of| (of.network.as_str(), of.interface.as_str())).collect();
    assert_eq!(networks, [("a", "eth0"), ("b", "eth1")]);
    assert_eq!(recorder.commands(), ["a ADD", "b ADD"]);
    wait(cni.del(&pod("p1"))).unwrap();
    assert_eq!(recorder.commands(), ["b DEL", "a DEL"]);

    recorder.says("b-ADD", "exit 1");
    assert!(matches!(wait(cni.add(&pod("p1"))), Err(Error::Attach { network, .. }) if network == "b"));
    assert_eq!(recorder.commands(), ["a ADD", "b ADD", "b DEL", "a DEL"]);
    assert_eq!(recorder.records(), 0);
}
