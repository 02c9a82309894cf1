"""Services and endpoints as `kubectl get` prints them.

    told              ->  services, endpoints     ->  columns, documents
    what events have      rows and values, with       text
    told so far           ages

Source of the rules: the API server's pkg/printers/internalversion, apimachinery's duration, kubectl's tabwriter.
"""
