//! `onechannel mock-partner`: one party's side as a process of its own, built from its folder alone.

use super::{
    CommandFault, Holds,
    mock_ports::{Place, Ports, Started},
};
use crate::sandbox::{
    mock::{Mock, admin, log, mirror},
    pki::Pki,
    system::System,
};
use serde_json::json;
use std::collections::BTreeSet;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples: onechannel mock-partner xa\n          onechannel mock-partner xa --gateway https://localhost:8443 --credentials /tmp/onechannel\n          curl -X PUT -H 'Content-Type: application/json' -d '{\"on\": [\"html-500\"], \"calls\": 3}' http://127.0.0.1:PORT/admin/faults"
)]
pub(super) struct Arguments {
    /// The party
    code: String,
    /// The gateway to which it pushes
    #[arg(long, requires = "credentials")]
    gateway: Option<String>,
    #[command(flatten)]
    ports: Ports,
}

impl Arguments {
    pub(super) async fn run(self) -> Result<Holds, CommandFault> {
        self.ports.run(|place| self.start(place)).await
    }

    fn start(&self, place: Place<'_>) -> Result<Started, CommandFault> {
        let Place { folder, pki, listener, admin_listener, admin, stopped } = place;
        let party = pki.partners.join(&self.code).join("party.toml");
        if !party.is_file() {
            let known = pki.clients.values().map(|files| files.party.as_str()).collect::<BTreeSet<_>>();
            let known = known.into_iter().collect::<Vec<_>>().join(", ");
            return Err(CommandFault::Start(format!("there is no party {}; there are {known}", self.code)));
        }
        let system = self.gateway.as_deref().map(|gateway| self.system(pki, gateway)).transpose()?;
        let mock = Mock::start(&self.code, pki, listener, stopped.clone()).map_err(CommandFault::Start)?;
        let files = pki.clients.values().find(|files| files.party == self.code);
        let json = json!({"partner": self.code, "base_url": mock.base(), "admin": admin,
            "credentials": folder, "server_ca": pki.partners.join(&self.code).join("trust/ca.pem"),
            "client_cert": files.map(|f| &f.client_cert), "client_key": files.map(|f| &f.client_key),
            "signing_key": files.map(|f| &f.signing_key), "key_id": files.map(|f| &f.key_id)});
        let lines = vec![
            (format!("partner {}", self.code), mock.base().to_owned()),
            ("copy of the log".to_owned(), format!("{}{}", mock.base(), mirror::PREFIX)),
            ("admin".to_owned(), admin),
            ("credentials".to_owned(), folder.display().to_string()),
        ];
        if let Some(gateway) = self.gateway.as_deref() {
            let (mock, gateway, stopped) = (mock.clone(), self.system(pki, gateway)?, stopped.clone());
            tokio::spawn(async move {
                let submitting = async {
                    if let Some(log) = &mock.log {
                        log::keep_submitting(log, &gateway, stopped.clone()).await;
                    }
                };
                tokio::join!(submitting, mirror::keep_reading(&mock.mirror, &gateway, stopped.clone()));
            });
        }
        admin::serve(mock, system, admin_listener, stopped);
        Ok(Started { json, lines })
    }

    fn system(&self, pki: &Pki, gateway: &str) -> Result<System, CommandFault> {
        let files = pki.clients.values().find(|files| files.party == self.code);
        let files = files.ok_or_else(|| CommandFault::Start(format!("{} has no client", self.code)))?;
        let public = pki.signing.with_extension("pub.pem");
        let system = System::new(gateway.trim_end_matches('/'), &pki.ca, files, &public, "gateway-sign-1");
        system.map_err(|fault| CommandFault::Start(fault.to_string()))
    }
}
