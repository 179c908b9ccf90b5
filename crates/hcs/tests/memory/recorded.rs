//! What Microsoft's clients sent to a service, sent to the in-memory ones in the same order.

use hcs::document::{Document, Guid};
use hcs::documents::network::{
    HostComputeEndpoint, HostComputeLoadBalancer, HostComputeNamespace, HostComputeNetwork, HostComputeQuery,
};
use hcs::documents::{ComputeSystem, StartOptions};
use hcs::network::{ComputeNetwork as _, NetworkObject, Objects};
use hcs::operation::Operation;
use hcs::service::{ComputeService as _, Process, System};
use hcs::suite::memory::{Memory, MemoryNetwork};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn documents() -> BTreeMap<String, PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captured");
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let named = entries.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), path));
    named.filter(|(_, path)| path.extension().is_some_and(|extension| extension == "json")).collect()
}

/// The scenarios that were recorded.
pub(crate) fn scenarios() -> Vec<String> {
    let mut scenarios: Vec<String> =
        documents().keys().map(|name| name.rsplit_once('.').unwrap().0.to_owned()).collect();
    scenarios.dedup();
    scenarios
}

/// Sends all documents of a scenario; each must be taken.
pub(crate) fn replay(scenario: &str) {
    let mut replay = Replay::default();
    let prefix = format!("{scenario}.");
    for (name, path) in documents() {
        let Some(call) = name.strip_prefix(&prefix) else { continue };
        let function = call.split('-').nth(1).unwrap();
        replay.send(&name, function, &std::fs::read_to_string(path).unwrap());
    }
    // A machine ends what it hosts.
    for system in replay.systems.into_iter().rev() {
        done(system.terminate());
    }
    assert_eq!(replay.service.count(), 0);
}

#[derive(Default)]
struct Replay {
    service: Memory,
    network: MemoryNetwork,
    systems: Vec<Box<dyn System>>,
    process: Option<Box<dyn Process>>,
    last: BTreeMap<&'static str, Guid>,
    made: u32,
}

fn done<T>(call: hcs::Result<Operation<T>>) -> T {
    call.and_then(Operation::wait).unwrap()
}

fn read<D: Document>(name: &str, text: &str) -> D {
    D::from_json(text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

impl Replay {
    fn send(&mut self, name: &str, function: &str, text: &str) {
        match function {
            "HcsCreateComputeSystem" => self.create(read(name, text)),
            "HcsModifyComputeSystem" => done(self.systems.first().unwrap().modify(&read(name, text))),
            "HcsCreateProcess" => {
                let system = self.systems.last().unwrap();
                let (process, created) = system.create_process(&read(name, text)).unwrap();
                assert_ne!(done(Ok(created)).process_id, 0);
                self.process = Some(process);
            }
            "HcsModifyProcess" => done(self.process.as_ref().unwrap().modify(&read(name, text))),
            "HcsSignalProcess" => {
                done(self.process.as_ref().unwrap().signal(Some(&read(name, text))));
            }
            "HcsGetServiceProperties" => {
                let properties = self.service.service_properties(&read(name, text)).unwrap();
                assert_eq!(properties.properties.unwrap().len(), 1);
            }
            _ => self.send_to_network(name, function, text),
        }
    }

    /// The first system is what the others are hosted in, if they are.
    fn create(&mut self, document: ComputeSystem) {
        self.made += 1;
        let id = format!("system-{}", self.made);
        let document = match &document.hosting_system_id {
            Some(_) => document.hosting_system_id(self.systems.first().unwrap().id()),
            None => document,
        };
        let (system, created) = self.service.create_system(&id, &document.into()).unwrap();
        done(Ok(created));
        done(system.start(&StartOptions::new()));
        self.systems.push(system);
    }

    fn send_to_network(&mut self, name: &str, function: &str, text: &str) {
        // The stand-in that was recorded had all zero for the id of each endpoint.
        let endpoint = self.last.get(HostComputeEndpoint::KIND).unwrap_or(&Guid::NIL).to_string();
        let text = &text.replace(&Guid::NIL.to_string(), &endpoint);
        let (network, last) = (&self.network, &self.last);
        match function {
            "HcnCreateNetwork" => {
                // Each test of that client deletes its network, which leaves no document.
                let document: HostComputeNetwork = read(name, text);
                let document = document.name(name);
                self.make(self.network.clone().networks(), &document);
            }
            "HcnCreateEndpoint" => self.create_endpoint(read(name, text)),
            "HcnCreateNamespace" => {
                self.make::<HostComputeNamespace>(self.network.clone().namespaces(), &read(name, text));
            }
            "HcnCreateLoadBalancer" => {
                let id = self.make::<HostComputeLoadBalancer>(
                    self.network.clone().load_balancers(),
                    &read(name, text),
                );
                // The next one wants the same frontend.
                self.network.load_balancers().delete(&id).unwrap();
            }
            "HcnQueryNamespaceProperties" => {
                let query: HostComputeQuery = read(name, text);
                let id = &last[HostComputeNamespace::KIND];
                assert_eq!(network.namespaces().query(id, &query).unwrap().id.as_ref(), Some(id));
            }
            "HcnModifyNetwork" => {
                network.networks().modify(&last[HostComputeNetwork::KIND], &read(name, text)).unwrap();
            }
            "HcnModifyEndpoint" => {
                network.endpoints().modify(&last[HostComputeEndpoint::KIND], &read(name, text)).unwrap();
            }
            "HcnModifyNamespace" => {
                network.namespaces().modify(&last[HostComputeNamespace::KIND], &read(name, text)).unwrap();
            }
            "HcnModifyLoadBalancer" => {
                let changed: HostComputeLoadBalancer = read(name, text);
                let id = network.load_balancers().create(None, &changed).unwrap().id.unwrap();
                network.load_balancers().modify(&id, &changed).unwrap();
                network.load_balancers().delete(&id).unwrap();
            }
            other => panic!("{name}: no call is {other}"),
        }
    }

    fn make<O: NetworkObject>(&mut self, objects: &dyn Objects<O>, document: &O) -> Guid {
        let made = objects.create(None, document);
        let made = made.unwrap_or_else(|error| panic!("{error}: {:?}", error.record()));
        let id: Guid = made.to_value()["ID"].as_str().unwrap().parse().unwrap();
        self.last.insert(O::KIND, id.clone());
        id
    }

    /// The network that it names is the stand-in's; here it is the last one.
    fn create_endpoint(&mut self, document: HostComputeEndpoint) {
        let document = document.host_compute_network(self.last[HostComputeNetwork::KIND].clone());
        self.make(self.network.clone().endpoints(), &document);
    }
}
