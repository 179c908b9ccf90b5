//! All plugins: in their order, told and asked of what happens, and synchronised when they come.
//!
//! A plugin that comes is shown everything that there is, and from then on told what changes. So that nothing falls in
//! between, a synchronisation waits until no verb is under way, and verbs wait until it has ended ([`Plugins::verb`]).
//! What ends by itself in the middle of a verb cannot wait for that; it is kept apart ([`Plugins::ending`]): it waits only
//! for a synchronisation that goes on, never for one that waits for the verb.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tokio::sync::{RwLock, RwLockReadGuard};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::event::Events;
use crate::merge::{Creation, Updates};
use crate::plugin::{Ordered, Plugin};
use crate::wire::api::{
    Container, ContainerAdjustment, ContainerEviction, ContainerUpdate, CreateContainerRequest,
    CreateContainerResponse, Event, LinuxResources, OwningPlugins, PluginInstance, PodSandbox,
    PostCreateContainerRequest, PostStartContainerRequest, PostUpdateContainerRequest,
    PostUpdatePodSandboxRequest, RemoveContainerRequest, RemovePodSandboxRequest, RunPodSandboxRequest,
    StartContainerRequest, StateChangeEvent, StopContainerRequest, StopContainerResponse,
    StopPodSandboxRequest, UpdateContainerRequest, UpdateContainerResponse, UpdatePodSandboxRequest,
    UpdatePodSandboxResponse, ValidateContainerAdjustmentRequest, ValidateContainerAdjustmentResponse,
};

/// What plugins ask of a runtime.
#[async_trait]
pub trait Runtime: Send + Sync + 'static {
    /// Everything that there is. No verb is under way meanwhile.
    async fn everything(&self) -> (Vec<PodSandbox>, Vec<Container>);
    /// Changes the limits of containers; gives back what could not be changed.
    async fn update(&self, updates: Vec<ContainerUpdate>) -> Vec<ContainerUpdate>;
    /// Ends containers.
    async fn evict(&self, evictions: Vec<ContainerEviction>);
}

/// What happens to a pod that plugins are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PodEvent {
    /// It has been made, and nobody sees it yet.
    Run,
    /// Its limits have changed.
    PostUpdate,
    /// Its containers have ended.
    Stop,
    /// It is being removed.
    Remove,
}

/// What happens to a container that plugins are told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerEvent {
    /// It has been made.
    PostCreate,
    /// Its program is about to be started.
    Start,
    /// Its program runs.
    PostStart,
    /// Its limits have changed.
    PostUpdate,
    /// It is being removed.
    Remove,
}

/// What plugins want of a container that is created.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// How it differs from what was asked for.
    pub adjustment: ContainerAdjustment,
    /// How others change.
    pub updates: Vec<ContainerUpdate>,
    /// Which others end.
    pub evictions: Vec<ContainerEviction>,
}

/// What plugins make of an update.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Updated {
    /// The limits that the container is to have.
    pub limits: LinuxResources,
    /// How others change.
    pub updates: Vec<ContainerUpdate>,
    /// Which others end.
    pub evictions: Vec<ContainerEviction>,
}

/// The plugins of a runtime.
#[derive(Default)]
pub struct Plugins {
    ordered: Mutex<Ordered>,
    /// What any of them has subscribed to.
    subscribed: AtomicU32,
    pub(crate) verbs: RwLock<()>,
    pub(crate) endings: RwLock<()>,
    required: Vec<String>,
}

/// Keeps plugins from being synchronised.
#[must_use]
pub struct Block<'a> {
    _guard: RwLockReadGuard<'a, ()>,
}

impl Plugins {
    /// None yet; see [`crate::serve()`].
    pub fn new(config: &Config) -> Self {
        Self { required: config.required.clone(), ..Self::default() }
    }

    /// Held from before a verb changes anything until plugins have been told. It must not be taken again within.
    pub async fn verb(&self) -> Block<'_> {
        Block { _guard: self.verbs.read().await }
    }

    /// Held while plugins are told of what ended by itself, or because of a verb that holds its own block.
    pub async fn ending(&self) -> Block<'_> {
        Block { _guard: self.endings.read().await }
    }

    /// Whether a plugin has subscribed to the event. Where none has, there is no need to put a message together.
    pub fn wants(&self, event: Event) -> bool {
        Events::from_bits(self.subscribed.load(Ordering::Acquire)).contains(event)
    }

    /// Whether any plugin has subscribed to this event.
    pub fn wants_pod(&self, event: PodEvent) -> bool {
        self.wants(of_pod(event))
    }

    /// Whether any plugin has subscribed to this event.
    pub fn wants_container(&self, event: ContainerEvent) -> bool {
        self.wants(of_container(event))
    }

    /// Tells of a pod. An error is a plugin's no.
    pub async fn tell_pod(&self, event: PodEvent, pod: PodSandbox) -> Result<()> {
        let change =
            StateChangeEvent { event: of_pod(event).into(), pod: Some(pod.clone()), container: None };
        let pod = Some(pod);
        match event {
            PodEvent::Run => self.tell(&RunPodSandboxRequest { pod }, &change).await,
            PodEvent::PostUpdate => self.tell(&PostUpdatePodSandboxRequest { pod }, &change).await,
            PodEvent::Stop => self.tell(&StopPodSandboxRequest { pod }, &change).await,
            PodEvent::Remove => self.tell(&RemovePodSandboxRequest { pod }, &change).await,
        }
    }

    /// Tells of a container. An error is a plugin's no.
    pub async fn tell_container(
        &self,
        event: ContainerEvent,
        pod: PodSandbox,
        container: Container,
    ) -> Result<()> {
        let change = StateChangeEvent {
            event: of_container(event).into(),
            pod: Some(pod.clone()),
            container: Some(container.clone()),
        };
        let (pod, container) = (Some(pod), Some(container));
        match event {
            ContainerEvent::PostCreate => {
                self.tell(&PostCreateContainerRequest { pod, container }, &change).await
            }
            ContainerEvent::Start => self.tell(&StartContainerRequest { pod, container }, &change).await,
            ContainerEvent::PostStart => {
                self.tell(&PostStartContainerRequest { pod, container }, &change).await
            }
            ContainerEvent::PostUpdate => {
                self.tell(&PostUpdateContainerRequest { pod, container }, &change).await
            }
            ContainerEvent::Remove => self.tell(&RemoveContainerRequest { pod, container }, &change).await,
        }
    }

    /// Asks whether a pod's limits may change.
    pub async fn update_pod(
        &self,
        pod: PodSandbox,
        overhead: Option<LinuxResources>,
        limits: Option<LinuxResources>,
    ) -> Result<()> {
        let request = UpdatePodSandboxRequest {
            pod: Some(pod),
            overhead_linux_resources: overhead,
            linux_resources: limits,
        };
        for plugin in self.all().iter() {
            plugin.ask::<UpdatePodSandboxResponse>(Event::UpdatePodSandbox, &request, None).await?;
        }
        Ok(())
    }

    /// Whether every plugin is there without which no container is made.
    pub fn check_required(&self) -> Result<()> {
        let missing = |name: &&String| {
            !self
                .all()
                .iter()
                .any(|plugin| plugin.identity.name == **name || plugin.identity.full() == **name)
        };
        match self.required.iter().find(missing) {
            None => Ok(()),
            Some(name) => Err(Error::Missing(name.clone())),
        }
    }

    /// Asks what plugins want of a container that is created. Each sees what those before it have changed.
    pub async fn create_container(&self, pod: PodSandbox, container: Container) -> Result<Wanted> {
        let plugins = self.all();
        let pristine = container.clone();
        let mut creation = Creation::new(container);
        for plugin in plugins.iter() {
            let request = CreateContainerRequest {
                pod: Some(pod.clone()),
                container: Some(creation.container.clone()),
            };
            let answer: Option<CreateContainerResponse> =
                plugin.ask(Event::CreateContainer, &request, None).await?;
            if let Some(answer) = answer {
                creation.merge(answer, &plugin.identity.full())?;
            }
        }
        let owners = creation.take_owners();
        let wanted = Wanted {
            adjustment: creation.adjustment,
            updates: creation.updates.into_inner(),
            evictions: creation.evictions,
        };
        validate(&plugins, pod, pristine, &wanted, owners).await?;
        Ok(wanted)
    }

    /// Asks what plugins make of new limits of a container.
    pub async fn update_container(
        &self,
        pod: PodSandbox,
        container: Container,
        limits: LinuxResources,
    ) -> Result<Updated> {
        let id = container.id.clone();
        let mut owners = crate::merge::Owners::default();
        let mut updates = Updates::of(&id, limits);
        let mut evictions = Vec::new();
        let mut request =
            UpdateContainerRequest { pod: Some(pod), container: Some(container), linux_resources: None };
        for plugin in self.all().iter() {
            request.linux_resources = updates.limits_of(&id).cloned();
            let answer: Option<UpdateContainerResponse> =
                plugin.ask(Event::UpdateContainer, &request, None).await?;
            if let Some(answer) = answer {
                updates.merge(&mut owners, answer.update, &plugin.identity.full(), None)?;
                evictions.extend(answer.evict);
            }
        }
        let limits = updates.limits_of(&id).cloned().unwrap_or_default();
        let mut updates = updates.into_inner();
        updates.retain(|update| update.container_id != id);
        Ok(Updated { limits, updates, evictions })
    }

    /// Tells that a container has ended; what plugins want of others for that.
    pub async fn stop_container(
        &self,
        pod: PodSandbox,
        container: Container,
    ) -> Result<Vec<ContainerUpdate>> {
        let mut owners = crate::merge::Owners::default();
        let mut updates = Updates::default();
        let request = StopContainerRequest { pod: Some(pod), container: Some(container) };
        for plugin in self.all().iter() {
            let answer: Option<StopContainerResponse> =
                plugin.ask(Event::StopContainer, &request, None).await?;
            if let Some(answer) = answer {
                updates.merge(&mut owners, answer.update, &plugin.identity.full(), None)?;
            }
        }
        Ok(updates.into_inner())
    }

    /// Tells all plugins that the runtime ends, and ends those that it has started.
    pub async fn shut_down(&self) {
        let plugins = std::mem::take(&mut *self.ordered());
        self.subscribed.store(0, Ordering::Release);
        let mut told = tokio::task::JoinSet::new();
        for plugin in plugins.iter() {
            let plugin = plugin.clone();
            told.spawn(async move { plugin.shut_down().await });
        }
        told.join_all().await;
    }

    async fn tell(&self, request: &impl prost::Message, change: &StateChangeEvent) -> Result<()> {
        for plugin in self.all().iter() {
            // All these answers are empty.
            plugin.ask::<crate::wire::api::Empty>(change.event(), request, Some(change)).await?;
        }
        Ok(())
    }

    pub(crate) fn add(&self, plugin: Arc<Plugin>) {
        let mut ordered = self.ordered();
        let mut plugins: Vec<_> = ordered.iter().cloned().chain([plugin]).collect();
        plugins.sort_by(|one, other| one.identity.cmp(&other.identity));
        self.set(&mut ordered, plugins);
    }

    pub(crate) fn remove(&self, gone: &Arc<Plugin>) {
        let mut ordered = self.ordered();
        let rest = ordered.iter().filter(|plugin| !Arc::ptr_eq(plugin, gone)).cloned().collect();
        self.set(&mut ordered, rest);
    }

    fn set(&self, ordered: &mut Ordered, plugins: Vec<Arc<Plugin>>) {
        let subscribed = plugins.iter().fold(0, |bits, plugin| bits | plugin.events.bits());
        *ordered = plugins.into();
        self.subscribed.store(subscribed, Ordering::Release);
    }

    fn all(&self) -> Ordered {
        self.ordered().clone()
    }

    /// What is behind it is replaced as a whole.
    fn ordered(&self) -> MutexGuard<'_, Ordered> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Has those plugins judge what all want that have subscribed to it.
async fn validate(
    plugins: &Ordered,
    pod: PodSandbox,
    container: Container,
    wanted: &Wanted,
    owners: OwningPlugins,
) -> Result<()> {
    let asked = |plugin: &Arc<Plugin>| {
        plugin.events.contains(Event::ValidateContainerAdjustment) && !plugin.link.is_closed()
    };
    if !plugins.iter().any(asked) {
        return Ok(());
    }
    let instance = |plugin: &Arc<Plugin>| PluginInstance {
        name: plugin.identity.name.clone(),
        index: plugin.identity.index.clone(),
    };
    let request = ValidateContainerAdjustmentRequest {
        pod: Some(pod),
        container: Some(container),
        adjust: Some(wanted.adjustment.clone()),
        update: wanted.updates.clone(),
        owners: Some(owners),
        plugins: plugins.iter().map(instance).collect(),
    };
    for plugin in plugins.iter().filter(|plugin| asked(plugin)) {
        let verdict: ValidateContainerAdjustmentResponse = plugin.judge(&request).await?;
        if verdict.reject {
            return Err(Error::Refused {
                plugin: plugin.identity.full(),
                call: "ValidateContainerAdjustment",
                message: verdict.reason,
            });
        }
    }
    Ok(())
}

fn of_pod(event: PodEvent) -> Event {
    match event {
        PodEvent::Run => Event::RunPodSandbox,
        PodEvent::PostUpdate => Event::PostUpdatePodSandbox,
        PodEvent::Stop => Event::StopPodSandbox,
        PodEvent::Remove => Event::RemovePodSandbox,
    }
}

fn of_container(event: ContainerEvent) -> Event {
    match event {
        ContainerEvent::PostCreate => Event::PostCreateContainer,
        ContainerEvent::Start => Event::StartContainer,
        ContainerEvent::PostStart => Event::PostStartContainer,
        ContainerEvent::PostUpdate => Event::PostUpdateContainer,
        ContainerEvent::Remove => Event::RemoveContainer,
    }
}
