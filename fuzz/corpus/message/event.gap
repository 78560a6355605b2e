events
{"items":[{"epoch":3,"seq":250,"cls":"critical","kind":"gap","ts":{"w":1760000000123,"m":812345,"b":"6f1c2a04-55d1-4a7e-9a1b-3f0c8d2e7b11","c":"ntp"},"data":{"dropped":37,"cls":"info"}}]}