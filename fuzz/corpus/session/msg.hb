agent
{"v":1,"t":"hb","to":"relay","body":{"n":12,"rtt_ms":38}}