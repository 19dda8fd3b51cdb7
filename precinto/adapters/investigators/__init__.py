"""Who and what stands behind a target: names, registration, networks, certificates, and fingerprints to find it by."""
